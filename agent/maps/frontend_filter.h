// SPDX-License-Identifier: Apache-2.0
// The filter in front of the frontends (SM_FILTER_WORDS of the ABI). Several VIPs may have one bit,
// so this class counts the VIPs of each bit. The programs read the bits at any time.
#pragma once

#include <cstdint>
#include <set>
#include <vector>

#include "base/result.h"
#include "lb/tables.h"
#include "maps/kernel_maps.h"

namespace sockmesh {

// Where the bit of a VIP is.
struct FilterPlace {
  std::uint32_t word = 0;  // below SM_FILTER_WORDS
  std::uint32_t bit = 0;   // below 64
};
FilterPlace filterPlace(const VipKey& key);

// Control thread.
class FrontendFilter {
 public:
  // `maps` is opened for writing and outlives the filter.
  explicit FrontendFilter(KernelMaps& maps);

  // Counts the frontends that the kernel has anew, sets their bits, and clears the bits that no
  // frontend has, unless there are ranges. On an Error every bit that is set stays set.
  Status adopt();

  // Before `key` is added to the frontends.
  void add(const VipKey& key);
  // Before a range is added, and after it is gone. While there is one, every bit is set.
  void addRange(const VipKey& key);
  void removeRange(const VipKey& key);
  // After `key` is gone from the frontends.
  void remove(const VipKey& key);

 private:
  void count(std::uint64_t hash);
  void write();

  KernelMaps& maps_;
  // By bit: its VIPs. A bit with as many VIPs as a count can hold is never cleared.
  std::vector<std::uint8_t> counts_;
  std::set<VipKey> ranges_;
};

}  // namespace sockmesh
