// SPDX-License-Identifier: Apache-2.0
#include "inspect/unserved.h"

#include <array>
#include <map>
#include <set>
#include <tuple>

#include "lb/abi_names.h"

namespace sockmesh {
namespace {

constexpr std::uint64_t kRecentNs = 600'000'000'000;

}  // namespace

Result<std::vector<Unserved>> readUnserved(const KernelMaps& maps) {
  const auto entries = maps.unserved.entries();
  if (!entries) return entries.error().in("unserved");
  std::map<std::pair<std::uint64_t, std::uint64_t>, sm_unserved> sorted;
  for (const auto& [key, value] : *entries) sorted[{key.netns_cookie, key.cgroup_id}] = value;
  std::vector<Unserved> all;
  all.reserve(sorted.size());
  for (const auto& [key, value] : sorted) {
    all.push_back({.cgroupId = key.second,
                   .netnsCookie = key.first,
                   .netnsInode = value.netns_inode,
                   .reason = value.reason,
                   .seenNs = value.seen_ns});
  }
  return all;
}

bool isRecent(const Unserved& one, std::uint64_t nowNs) {
  return one.seenNs + kRecentNs >= nowNs;
}

NamedCounts unservedNamespaces(const std::vector<Unserved>& all, std::uint64_t nowNs) {
  constexpr std::array kReasons = {SM_UNSERVED_LEFT_OUT, SM_UNSERVED_SIDECAR, SM_UNSERVED_DEFAULT};
  std::map<std::uint32_t, std::set<std::uint64_t>> namespaces;
  for (const Unserved& one : all) {
    if (isRecent(one, nowNs)) namespaces[one.reason].insert(one.netnsCookie);
  }
  NamedCounts counts;
  for (const auto reason : kReasons) {
    counts.emplace_back(unservedWord(reason).name, namespaces[reason].size());
  }
  return counts;
}

}  // namespace sockmesh
