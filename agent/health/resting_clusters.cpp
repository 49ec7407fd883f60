// SPDX-License-Identifier: Apache-2.0
#include "health/resting_clusters.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace sockmesh {
namespace {

constexpr std::uint32_t kWordBits = 64;

std::uint64_t bitOf(std::uint32_t number) {
  return std::uint64_t{1} << (number % kWordBits);
}

void eachBit(std::uint32_t word, std::uint64_t bits, const RestingClusters::Visit& visit) {
  for (; bits != 0; bits &= bits - 1) {
    visit(word * kWordBits + static_cast<std::uint32_t>(std::countr_zero(bits)));
  }
}

}  // namespace

RestingClusters::Group& RestingClusters::add(std::uint32_t number, Nanos due, Nanos interval) {
  Group* group = find(due, interval);
  if (group == nullptr) {
    const Nanos free = placeFor(due, interval);
    group = &groups_.emplace(free, Group{free, interval, {}})->second;
  }
  group->members[number / kWordBits] |= bitOf(number);
  return *group;
}

// The last group that is early enough, and not too early.
RestingClusters::Group* RestingClusters::find(Nanos due, Nanos interval) {
  for (auto group = groups_.upper_bound(due); group != groups_.begin();) {
    --group;
    if (group->first < due - interval / kSpread) break;
    if (group->second.interval == interval) return &group->second;
  }
  return nullptr;
}

// At `due`, or a little earlier: half of what is too early lies between any two groups.
Nanos RestingClusters::placeFor(Nanos due, Nanos interval) const {
  const Nanos apart = interval / kSpread / 2;
  for (auto later = groups_.upper_bound(due); later != groups_.end(); ++later) {
    if (later->first >= due + apart) break;
    if (later->second.interval == interval) return later->first - apart;
  }
  return due;
}

void RestingClusters::remove(std::uint32_t number, Group& group) {
  const auto word = group.members.find(number / kWordBits);
  if (word == group.members.end()) return;
  word->second &= ~bitOf(number);
  if (word->second == 0) group.members.erase(word);
  if (!group.members.empty()) return;
  const auto [first, last] = groups_.equal_range(group.due);
  const auto found =
      std::find_if(first, last, [&](const auto& entry) { return &entry.second == &group; });
  if (found != last) groups_.erase(found);
}

std::optional<Nanos> RestingClusters::nextDue() const {
  if (groups_.empty()) return std::nullopt;
  return groups_.begin()->first;
}

void RestingClusters::eachStirred(Nanos now, const Bits& bits, const Visit& visit) const {
  for (auto group = groups_.begin(); group != groups_.end() && group->first <= now; ++group) {
    for (const auto& [word, members] : group->second.members) {
      eachBit(word, bits(word) & members, visit);
    }
  }
}

void RestingClusters::eachInTurn(Nanos now, const Visit& visit) {
  for (auto due = groups_.begin(); due != groups_.end() && due->first <= now; ++due) {
    Group& group = due->second;
    auto word = group.members.upper_bound(group.checked);
    if (word == group.members.end()) word = group.members.begin();
    group.checked = word->first;
    eachBit(word->first, word->second, visit);
  }
}

void RestingClusters::moveOn(Nanos now) {
  while (!groups_.empty() && groups_.begin()->first <= now) {
    auto group = groups_.extract(groups_.begin());
    group.mapped().due = now + std::max(group.mapped().interval, Nanos(1));
    group.key() = group.mapped().due;
    groups_.insert(std::move(group));
  }
}

}  // namespace sockmesh
