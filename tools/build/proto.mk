# SPDX-License-Identifier: Apache-2.0
# proto/**/*.proto -> $(BUILD)/gen/**/*.pb.{h,cc}; files with a service also get .grpc.pb.{h,cc}.
PROTOS := $(shell cd proto && find . -name '*.proto' | sed 's|^\./||' | sort)
GRPC_PROTOS := $(shell cd proto && grep -rlE '^service ' --include='*.proto' . | sed 's|^\./||' | sort)
GEN := $(BUILD)/gen
PROTO_HEADERS := $(PROTOS:%.proto=$(GEN)/%.pb.h) $(GRPC_PROTOS:%.proto=$(GEN)/%.grpc.pb.h)
MESSAGE_OBJS := $(PROTOS:%.proto=$(BUILD)/obj/gen/%.pb.o)
GRPC_OBJS := $(GRPC_PROTOS:%.proto=$(BUILD)/obj/gen/%.grpc.pb.o)
PROTO_LIB := $(BUILD)/lib/libproto.a

$(GEN)/%.pb.h $(GEN)/%.pb.cc &: proto/%.proto
	$(call say,PROTO,$<)
	$(Q)mkdir -p $(GEN)
	$(Q)$(PROTOC) -Iproto --cpp_out=$(GEN) $<

$(GEN)/%.grpc.pb.h $(GEN)/%.grpc.pb.cc &: proto/%.proto
	$(call say,GRPC,$<)
	$(Q)mkdir -p $(GEN)
	$(Q)$(PROTOC) -Iproto --grpc_out=$(GEN) --plugin=protoc-gen-grpc=$$(command -v grpc_cpp_plugin) $<

# Generated code is compiled without the project's warnings and optimised for size.
$(BUILD)/obj/gen/%.o: $(GEN)/%.cc | $(PROTO_HEADERS)
	$(call say,CXX,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CXX) -std=c++20 -O1 $(SAN_FLAGS) -isystem $(GEN) -MD -MP -c -o $@ $<

# One object, so that it is linked whole: an Any may name a type that no code refers to.
$(BUILD)/obj/gen/messages.o: $(MESSAGE_OBJS)
	$(Q)$(LD) -r -o $@ $^

$(PROTO_LIB): $(BUILD)/obj/gen/messages.o $(GRPC_OBJS)
	$(Q)mkdir -p $(@D)
	$(Q)rm -f $@ && ar rcs $@ $^

# A chain of pattern rules makes these files. Without this line make would remove them and compile
# anew each time.
.PRECIOUS: $(GEN)/%.pb.h $(GEN)/%.pb.cc $(GEN)/%.grpc.pb.h $(GEN)/%.grpc.pb.cc
