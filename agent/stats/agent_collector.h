// SPDX-License-Identifier: Apache-2.0
// The agent's own work as metrics: control plane, map writer, build.
#pragma once

#include <prometheus/collectable.h>

#include <functional>
#include <memory>

#include "base/turn_times.h"
#include "stats/agent_stats.h"

namespace sockmesh {

class AgentCollector final : public prometheus::Collectable {
 public:
  // Any thread; null before the agent published anything.
  using Source = std::function<std::shared_ptr<const AgentStats>()>;

  // `turns`: those of the control loop; outlives this.
  AgentCollector(Source source, const TurnTimes& turns)
      : source_(std::move(source)), turns_(turns) {}

  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  Source source_;
  const TurnTimes& turns_;
};

}  // namespace sockmesh
