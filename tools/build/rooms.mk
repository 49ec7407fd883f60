# SPDX-License-Identifier: Apache-2.0
# The rooms of agent/, one static library each. A room stands before the rooms that it includes: this
# is the order in which a linker wants them.
ROOMS := daemon config served sources admin ejection kube ads store decode dns protojson writer datapath inspect \
	maps health lb stats model base

# MAY_X: the rooms and programs whose headers X may include. This is the one copy of the graph:
# tools/checks/include-rules.py checks #include lines against it, and link lines follow from it.
MAY_base :=
MAY_model := base
MAY_stats := base
MAY_lb := model base
MAY_decode := model base
MAY_store := decode model base
MAY_ads := store decode model stats base
MAY_dns := model base
MAY_protojson := base
MAY_health := model stats base
MAY_kube := stats base
MAY_admin := model stats base
MAY_maps := lb model base
MAY_datapath := maps model stats base
MAY_writer := datapath maps lb model stats base
MAY_inspect := maps lb model stats base
MAY_ejection := writer datapath maps health lb model stats base
MAY_sources := store decode dns protojson stats model base
MAY_served := kube maps base
MAY_config := sources served kube ads store decode protojson datapath maps lb model base
MAY_daemon := config served sources admin ejection kube ads store decode dns writer datapath inspect maps health lb \
	stats model base
MAY_sockmeshctl := inspect maps lb stats model base
MAY_sockmesh-xds := ads decode protojson model base

# LIBS_X: system libraries that only X uses. gRPC's callback API puts absl::Mutex calls into the
# objects.
LIBS_base := -lspdlog -lfmt -pthread
LIBS_stats := -lprometheus-cpp-core
LIBS_daemon := -lseccomp
LIBS_dns := -lcares
LIBS_kube := -lcurl
LIBS_maps := -lbpf -lelf -lz
LIBS_protojson := -lyaml-cpp -lprotobuf
LIBS_ads := -lgrpc++ -lgrpc -lgpr -labsl_synchronization
LIBS_decode := -lprotobuf
# ARCHIVES_X: archives of ours that X uses and that are no room.
ARCHIVES_decode = $(PROTO_LIB)
ARCHIVES_protojson = $(PROTO_LIB)

# $(call closure,X): X and all that X may include. $(call archives,X) and $(call libs,X): what a
# program with code of X links, in order.
closure = $(if $(filter-out $(1),$(foreach x,$(1),$(MAY_$(x)))),$\
	$(call closure,$(sort $(1) $(foreach x,$(1),$(MAY_$(x))))),$(1))
ordered = $(filter $(call closure,$(1)),$(ROOMS))
archives = $(foreach x,$(call ordered,$(1)),$(BUILD)/lib/lib$(x).a) \
	$(foreach x,$(call ordered,$(1)),$(ARCHIVES_$(x)))
libs = $(foreach x,$(call ordered,$(1)),$(LIBS_$(x)))

room_sources = $(shell find agent/$(1) -name '*.cpp' ! -name main.cpp 2>/dev/null | sort)
room_objs = $(patsubst %.cpp,$(BUILD)/obj/%.o,$(call room_sources,$(1)))

# Generated headers that a room's sources need before they compile.
$(foreach room,ads store decode protojson sources config daemon,$(call room_objs,$(room))): | $(PROTO_HEADERS)
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

tool_objs = $(patsubst %.cpp,$(BUILD)/obj/%.o,$(shell find tools/$(1) -name '*.cpp' 2>/dev/null | sort))
$(call tool_objs,sockmesh-xds): | $(PROTO_HEADERS)
$(call tool_objs,sockmesh-xds): CPPFLAGS += -Itools/sockmesh-xds
$(call tool_objs,sockmeshctl): CPPFLAGS += -Itools/sockmeshctl

# A program is what its folder (or its main.cpp) holds and the rooms that it may include.
BINARIES := $(addprefix $(BUILD)/bin/,sockmeshd sockmeshctl sockmesh-xds)
define program_rule
$(BUILD)/bin/$(1): $(2) $(call archives,$(3))
	$$(call say,LINK,$$@)
	$$(Q)mkdir -p $$(@D)
	$$(Q)$$(CXX) $$(LDFLAGS) -o $$@ $$^ $(call libs,$(3))
endef
$(eval $(call program_rule,sockmeshd,$(BUILD)/obj/agent/daemon/main.o,daemon))
$(eval $(call program_rule,sockmeshctl,$(call tool_objs,sockmeshctl),sockmeshctl))
$(eval $(call program_rule,sockmesh-xds,$(call tool_objs,sockmesh-xds),sockmesh-xds))
$(BUILD)/obj/agent/daemon/main.o: | $(PROTO_HEADERS) $(SKELETON)

-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)
