// SPDX-License-Identifier: Apache-2.0
// What is not honoured in a Snapshot, as the metrics room counts it. One thread.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>

#include "base/name.h"
#include "model/snapshot.h"
#include "stats/agent_stats.h"

namespace sockmesh {

class NotHonouredCounter {
 public:
  // Call with each snapshot, in order: looks at what `snapshot->changed` names. A snapshot with
  // `changed.all` may follow any other.
  const NotHonouredStats& update(std::shared_ptr<const Snapshot> snapshot);

 private:
  void startAnew(const Snapshot& snapshot, Changes& changed);
  void countListener(const Snapshot& snapshot, const std::string& name,
                     std::set<std::string>& clusters);
  void countCluster(const Snapshot& snapshot, const std::string& name);
  void note(const Snapshot& snapshot, const std::string& cluster);

  std::shared_ptr<const Snapshot> before_ = std::make_shared<const Snapshot>();
  // Legs of listeners, by the cluster that they point at.
  std::unordered_map<Name, std::int64_t> legs_;
  std::array<std::int64_t, 2> resources_{};  // that are not honoured in everything, by kind
  NotHonouredStats stats_;
};

}  // namespace sockmesh
