# One static library a room; what a room may include is checked by tools/checks/include-rules.sh.
ROOMS := base model stats xds lb datapath health admin daemon
room_sources = $(shell find agent/$(1) -name '*.cpp' ! -name main.cpp 2>/dev/null | sort)
room_objs = $(patsubst %.cpp,$(BUILD)/obj/%.o,$(call room_sources,$(1)))

# Generated headers that a room's sources need before they compile.
$(call room_objs,xds) $(call room_objs,daemon) $(call room_objs,admin): | $(PROTO_HEADERS)
$(call room_objs,datapath): | $(SKELETON)

# -MD, not -MMD: generated headers are system headers to the compiler, and must count.
$(BUILD)/obj/%.o: %.cpp
	$(call say,CXX,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CXX) $(CXXFLAGS) $(CPPFLAGS) -MD -MP -c -o $@ $<

define room_rule
$(BUILD)/lib/lib$(1).a: $(call room_objs,$(1))
	$$(Q)mkdir -p $$(@D)
	$$(Q)rm -f $$@ && ar rcs $$@ $$^
endef
$(foreach room,$(ROOMS),$(eval $(call room_rule,$(room))))

# version.o alone knows the version, and is compiled again when it changes.
VERSION_STAMP := $(GEN)/version.stamp
.PHONY: FORCE
$(VERSION_STAMP): FORCE
	$(Q)mkdir -p $(@D)
	$(Q)echo '$(VERSION)' | cmp -s - $@ || echo '$(VERSION)' > $@
$(BUILD)/obj/agent/base/version.o: $(VERSION_STAMP)
$(BUILD)/obj/agent/base/version.o: CPPFLAGS += -DSOCKMESH_VERSION='"$(VERSION)"'

lib = $(foreach room,$(1),$(BUILD)/lib/lib$(room).a)
BASE_LIBS := -lspdlog -lfmt -pthread
BPF_LIBS := -lbpf -lelf -lz
# name: libraries of ours, then the system's
AGENT_ROOMS := $(call lib,daemon admin xds datapath health lb stats model base) $(PROTO_LIB)
AGENT_LIBS := $(GRPC_LIBS) $(BPF_LIBS) -lprometheus-cpp-core -lcivetweb -lyaml-cpp $(BASE_LIBS)
CTL_ROOMS := $(call lib,datapath lb stats model base)
CTL_LIBS := $(BPF_LIBS) $(BASE_LIBS)
XDS_ROOMS := $(call lib,xds stats model base) $(PROTO_LIB)
XDS_LIBS := $(GRPC_LIBS) -lyaml-cpp $(BASE_LIBS)

tool_objs = $(patsubst %.cpp,$(BUILD)/obj/%.o,$(shell find tools/$(1) -name '*.cpp' 2>/dev/null | sort))
$(call tool_objs,sockmesh-xds): | $(PROTO_HEADERS)
$(call tool_objs,sockmesh-xds): CPPFLAGS += -Itools/sockmesh-xds
$(call tool_objs,sockmeshctl): CPPFLAGS += -Itools/sockmeshctl

BINARIES := $(addprefix $(BUILD)/bin/,sockmeshd sockmeshctl sockmesh-xds)
$(BUILD)/bin/sockmeshd: $(BUILD)/obj/agent/daemon/main.o $(AGENT_ROOMS)
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CXX) $(LDFLAGS) -o $@ $^ $(AGENT_LIBS)
$(BUILD)/obj/agent/daemon/main.o: | $(PROTO_HEADERS) $(SKELETON)

$(BUILD)/bin/sockmeshctl: $(call tool_objs,sockmeshctl) $(CTL_ROOMS)
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CXX) $(LDFLAGS) -o $@ $^ $(CTL_LIBS)

$(BUILD)/bin/sockmesh-xds: $(call tool_objs,sockmesh-xds) $(XDS_ROOMS)
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CXX) $(LDFLAGS) -o $@ $^ $(XDS_LIBS)

-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)
