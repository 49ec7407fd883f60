// SPDX-License-Identifier: Apache-2.0
#include "maps/selection_sampling.h"

#include <atomic>

namespace sockmesh {
namespace {

using Word = std::atomic_ref<__u32>;
using Time = std::atomic_ref<__u64>;

// The programs lower the word, and nobody else.
void raise(sm_globals& globals, std::uint32_t bound) {
  const Word word(globals.sample_below);
  __u32 seen = word.load();
  while (seen < bound && !word.compare_exchange_weak(seen, bound)) {
  }
}

}  // namespace

void timeSelections(sm_globals& globals, std::uint32_t oneIn) {
  const std::uint32_t bound = sm_sample_bound(oneIn);
  Word(globals.histogram_below).store(bound);
  raise(globals, bound);
}

SelectionClaim::SelectionClaim(sm_globals& globals, std::uint32_t oneIn, Nanos lease)
    : globals_(globals), bound_(sm_sample_bound(oneIn)), lease_(lease) {}

SelectionClaim::~SelectionClaim() {
  if (place_ != nullptr) Time(place_->until_ns).compare_exchange_strong(until_, 0);
}

bool SelectionClaim::renew(Nanos now) {
  const Nanos until = now + lease_;
  if (!hold(until) && !claim(now, until)) return false;
  // Each time: a program that looked at the places before this claim may just have lowered it.
  raise(globals_, bound_);
  return true;
}

// False: there is no claim, or another has the place, because this one came too late.
bool SelectionClaim::hold(Nanos until) {
  const auto wanted = static_cast<__u64>(until.count());
  __u64 expected = until_;
  if (place_ == nullptr || !Time(place_->until_ns).compare_exchange_strong(expected, wanted)) {
    place_ = nullptr;
    return false;
  }
  until_ = wanted;
  return true;
}

bool SelectionClaim::claim(Nanos now, Nanos until) {
  for (sm_watcher& place : globals_.watchers) {
    __u64 seen = Time(place.until_ns).load();
    if (seen > static_cast<std::uint64_t>(now.count())) continue;
    const auto wanted = static_cast<__u64>(until.count());
    if (!Time(place.until_ns).compare_exchange_strong(seen, wanted)) continue;
    Word(place.below).store(bound_);
    place_ = &place;
    until_ = wanted;
    return true;
  }
  return false;
}

}  // namespace sockmesh
