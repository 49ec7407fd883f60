// SPDX-License-Identifier: Apache-2.0
// What g++'s -fsanitize-coverage=trace-pc sees, in libFuzzer's words: a counter for each place in
// the code, in the section that libFuzzer reads as its extra counters.
#include <cstddef>
#include <cstdint>

namespace {

constexpr std::size_t kCounters = std::size_t{1} << 17U;
// No std::array, whose functions are instrumented.
__attribute__((section("__libfuzzer_extra_counters"))) std::uint8_t counters[kCounters];

}  // namespace

extern "C" {

// In place of libFuzzer's, which does nothing: the fuzzers are linked with --wrap.
__attribute__((no_sanitize_coverage, no_sanitize_address)) void __wrap___sanitizer_cov_trace_pc() {
  const auto place = reinterpret_cast<std::uintptr_t>(__builtin_return_address(0));
  // Relative to this function, because programs are loaded anywhere.
  const auto offset = place - reinterpret_cast<std::uintptr_t>(&__wrap___sanitizer_cov_trace_pc);
  ++counters[(offset ^ (offset >> 17U)) % kCounters];
}

// libFuzzer learns from comparisons of integers alone.
void __sanitizer_cov_trace_cmpf(float /*a*/, float /*b*/) {}
void __sanitizer_cov_trace_cmpd(double /*a*/, double /*b*/) {}

}  // extern "C"
