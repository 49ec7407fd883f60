// SPDX-License-Identifier: Apache-2.0
// Pods that connected to a VIP and were left alone, and why (bpf/select/served.h).
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "maps/kernel_maps.h"
#include "stats/datapath_stats.h"

namespace sockmesh {

// Processes of one cgroup in one network namespace.
struct Unserved {
  std::uint64_t cgroupId = 0;
  std::uint64_t netnsCookie = 0;
  std::uint32_t netnsInode = 0;
  std::uint32_t reason = 0;  // enum sm_unserved_reason
  std::uint64_t seenNs = 0;  // CLOCK_MONOTONIC of the last connect, exact to a few seconds
};

// By namespace, then by cgroup.
Result<std::vector<Unserved>> readUnserved(const KernelMaps& maps);

// Whether that was at most ten minutes ago.
bool isRecent(const Unserved& one, std::uint64_t nowNs);

// How many network namespaces were left alone lately, for each reason.
NamedCounts unservedNamespaces(const std::vector<Unserved>& all, std::uint64_t nowNs);

}  // namespace sockmesh
