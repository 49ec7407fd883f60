// SPDX-License-Identifier: Apache-2.0
// The books of the services that are held, and of the clusters that this concerns. Every change
// costs what it touches, however many services are held. Control thread.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>

#include "base/shared_map.h"
#include "lb/tables.h"
#include "stats/agent_stats.h"
#include "writer/holding.h"

namespace sockmesh {

class HeldServices {
 public:
  // The service is held from now on, as `inKernel` says.
  void hold(const HeldService& held, const LbService& inKernel);
  // It is held no more, if it was.
  void release(const VipKey& key);

  // Whether a held service leads to this cluster; and whether one waits for it.
  bool leadsTo(const std::string& cluster) const { return ledTo_.contains(cluster); }
  bool waitsFor(const std::string& cluster) const { return summary_.clusters.contains(cluster); }
  // The clusters whose answer to these questions may be another since the last call.
  std::set<std::string> takeTouched();

  const std::map<VipKey, HeldService>& all() const { return held_; }
  const HeldStats& summary() const { return summary_; }

 private:
  static void count(SharedMap<std::uint32_t>& counts, const std::string& name, bool more);
  void enter(const VipKey& key, bool more);

  std::map<VipKey, HeldService> held_;
  std::map<VipKey, std::set<std::string>> named_;  // clusters that each held service leads to
  SharedMap<std::uint32_t> ledTo_;                 // by how many
  HeldStats summary_;
  std::set<std::string> touched_;
};

}  // namespace sockmesh
