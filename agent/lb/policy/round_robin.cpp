// SPDX-License-Identifier: Apache-2.0
#include "lb/policy/round_robin.h"

#include <utility>

#include "lb/cell_check.h"
#include "lb/cell_table.h"
#include "lb/policy/random.h"
#include "lb/policy/weight_groups.h"
#include "lb/schedule.h"
#include "model/lb_policy.h"

namespace sockmesh {
namespace {

std::shared_ptr<const LbGroup> scheduleGroup(const GroupContext& context, LbGroup group,
                                             const std::vector<std::uint32_t>& picks) {
  group.policy = SM_POLICY_ROUND_ROBIN;
  group.table = context.pool.share(wordTable(picks));
  return finished(std::move(group));
}

std::shared_ptr<const LbGroup> roundRobinPart(const GroupContext& context, const HostPool& source,
                                              const HostPoolPart& part) {
  LbGroup group = groupOver(context, source, part.hosts);
  // Envoy's panic keeps the endpoints' weights.
  const std::vector<double> weights = weightsOf(part.hosts);
  if (const auto picks = schedule(weights)) return scheduleGroup(context, std::move(group), *picks);
  return randomGroup(context, std::move(group), weights);
}

// All localities of a pool in one schedule. Null if no schedule can hold them.
std::shared_ptr<const LbGroup> nestedGroup(const GroupContext& context, const HostPool& source) {
  HostList hosts;
  std::vector<LocalityWeights> localities;
  for (const HostPoolPart& part : source.parts) {
    hosts.insert(hosts.end(), part.hosts.begin(), part.hosts.end());
    localities.push_back({part.weight, weightsOf(part.hosts)});
  }
  const auto picks = nestedSchedule(localities);
  if (!picks) return nullptr;
  return scheduleGroup(context, groupOver(context, source, hosts), *picks);
}

class RoundRobin final : public ConfiguredPolicy {
 public:
  std::string_view name() const override { return policyName(LbPolicy::kRoundRobin); }

  PolicyGroups build(const GroupContext& context, const PolicyHosts& hosts) const override {
    PolicyGroups made;
    const auto part = [&context](const HostPool& source, const HostPoolPart& one) {
      return roundRobinPart(context, source, one);
    };
    for (const HostPool& source : hostPools(hosts)) {
      auto nested = source.localityWeighted ? nestedGroup(context, source) : nullptr;
      if (nested) {
        made.groups.push_back({.share = source.load / 100.0, .group = std::move(nested)});
      } else {
        appendParts(context, source, part, made.groups);
      }
    }
    return made;
  }

  std::uint32_t cellCount(const TableShape& shape) const override {
    return wordCellCount(shape.size);
  }

  Status check(const LbGroup& group, std::size_t) const override {
    if (auto ok = checkHosts(group); !ok) return ok;
    if (auto ok = checkTable(group); !ok) return ok;
    return checkWords(group.table->cells, group.table->size, group.hosts.size());
  }

  std::vector<double> shares(const LbGroup& group, std::size_t entries) const override {
    return group.table ? wordShares(*group.table, entries) : std::vector<double>{};
  }

  // A new group starts anywhere, as in Envoy: nodes that start together do not march in step.
  std::uint64_t firstCursor(std::uint32_t random) const override { return random; }
  GroupCursor readCursor(std::uint64_t cursor) const override {
    return {.next = cursor, .loadFloor = 0};
  }

  void describeCells(const LbGroup& group, const CellVisitor& visit) const override {
    describeWords("table", group.table->cells, group.table->size, visit);
  }
};

}  // namespace

const ConfiguredPolicy& roundRobinPolicy() {
  static const RoundRobin policy;
  return policy;
}

}  // namespace sockmesh
