# SPDX-License-Identifier: Apache-2.0
# tests/fuzz/NAME_fuzz.cpp -> $(BUILD)/fuzz/NAME_fuzz: libFuzzer, which comes with clang, and the address
# sanitizer. The project's own code that reads foreign input is compiled a second time for it. All else
# comes from the ordinary archives. The compiler is the product's, so what builds there builds here:
# tests/fuzz/coverage.cpp tells libFuzzer what g++'s instrumentation sees.
FUZZ := $(BUILD)/fuzz
FUZZ_FLAGS := -std=c++20 -O1 -g1 -fno-omit-frame-pointer -fsanitize=address \
	-fsanitize-coverage=trace-pc,trace-cmp
# Debian's package libclang-rt-dev.
FUZZ_RUNTIME := $(wildcard $(shell $(CLANG) -print-runtime-dir 2>/dev/null)/libclang_rt.fuzzer-$(ARCH).a)
FUZZERS := $(patsubst tests/fuzz/%.cpp,$(FUZZ)/%,$(wildcard tests/fuzz/*_fuzz.cpp))

MAY_tests/fuzz := config sockmesh-xds ads store decode protojson lb model stats base

# What is instrumented: rooms, and parts of programs.
FUZZ_ROOMS := ads store decode protojson config
FUZZ_SOURCES := $(foreach room,$(FUZZ_ROOMS),$(filter-out %/ads_channel.cpp,$(call room_sources,$(room)))) \
	$(wildcard tools/sockmesh-xds/resource_*.cpp) \
	$(filter-out %_fuzz.cpp,$(wildcard tests/fuzz/*.cpp))
FUZZ_LINKED := daemon
FUZZ_OBJS := $(FUZZ_SOURCES:%.cpp=$(FUZZ)/obj/%.o)

$(FUZZ)/obj/%.o: %.cpp | $(PROTO_HEADERS)
	$(call say,FUZZ,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CXX) $(FUZZ_FLAGS) $(WARN) $(CPPFLAGS) -Itools/sockmesh-xds -Itests -MD -MP -c -o $@ $<

$(FUZZERS): $(FUZZ)/%_fuzz: $(FUZZ)/obj/tests/fuzz/%_fuzz.o $(FUZZ_OBJS) $(call archives,$(FUZZ_LINKED))
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CXX) -fsanitize=address -Wl,--as-needed,--wrap=__sanitizer_cov_trace_pc -o $@ $^ $(FUZZ_RUNTIME) \
		$(call libs,$(FUZZ_LINKED))

# The first inputs: what a real istiod sent, and documents of this repository.
FUZZ_SEEDS := $(FUZZ)/seeds.stamp
$(FUZZ_SEEDS): tests/fuzz/make_seeds.py $(wildcard tests/data/istiod/* tests/fuzz/seeds/*)
	$(call say,SEEDS,$(FUZZ)/seeds)
	$(Q)mkdir -p $(@D)
	$(Q)tests/fuzz/make_seeds.py tests/data/istiod tests/fuzz/seeds $(FUZZ)/seeds
	$(Q)touch $@

# Sanitizers of the whole build and those of the fuzzers do not mix.
.PHONY: fuzz fuzz-build
fuzz-build: $(if $(FUZZ_RUNTIME),$(if $(SAN),,$(FUZZERS) $(FUZZ_SEEDS)))
	$(Q)mkdir -p $(FUZZ)
test-build: fuzz-build

SECONDS ?= 600
fuzz: deps  ## fuzzers for SECONDS=600 each, two at a time; ONLY=client_fuzz; what they learn is kept
	$(Q)$(MAKE) --no-print-directory -j$(JOBS) fuzz-build
	$(Q)KEEP=1 ONLY='$(ONLY)' tools/build/run-fuzz.sh $(BUILD) $(SECONDS)

-include $(shell find $(FUZZ)/obj -name '*.d' 2>/dev/null)
