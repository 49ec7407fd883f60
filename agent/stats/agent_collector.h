// SPDX-License-Identifier: Apache-2.0
// The agent's own work as metrics: control plane, map writer, build.
#pragma once

#include <prometheus/collectable.h>

#include <functional>
#include <memory>

#include "stats/agent_stats.h"

namespace sockmesh {

class AgentCollector final : public prometheus::Collectable {
 public:
  // Any thread; null before the agent published anything.
  using Source = std::function<std::shared_ptr<const AgentStats>()>;

  explicit AgentCollector(Source source) : source_(std::move(source)) {}

  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  Source source_;
};

}  // namespace sockmesh
