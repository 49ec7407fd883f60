// SPDX-License-Identifier: Apache-2.0
#include "lb/policy/random.h"

#include <numeric>
#include <utility>

#include "lb/cell_check.h"
#include "lb/cell_table.h"
#include "lb/policy/weight_groups.h"
#include "model/lb_policy.h"

namespace sockmesh {
namespace {

// The probability of each of `hosts` in one pick under RANDOM.
std::vector<double> randomShares(const GroupContext& context, const HostList& hosts) {
  std::vector<double> shares =
      context.options.weightedRandom ? weightsOf(hosts) : std::vector<double>(hosts.size(), 1);
  const double sum = std::accumulate(shares.begin(), shares.end(), 0.0);
  for (double& share : shares) share /= sum;
  return shares;
}

std::vector<SharedGroup> randomGroups(const GroupContext& context,
                                      const std::vector<HostPool>& sources) {
  HostList hosts;
  std::vector<double> weights;
  double refused = 0;
  for (const HostPool& source : sources) {
    for (const HostPoolPart& part : source.parts) {
      const double share = source.load / 100.0 * part.share;
      if (part.hosts.empty()) refused += share;
      hosts.insert(hosts.end(), part.hosts.begin(), part.hosts.end());
      for (const double each : randomShares(context, part.hosts)) weights.push_back(share * each);
    }
  }
  std::vector<SharedGroup> groups;
  if (!hosts.empty()) {
    LbGroup group = groupOver(context, sources.front(), hosts);
    for (const HostPool& source : sources) {
      if (!source.panic) group.flags &= ~SM_GROUP_PANIC;
      if (!source.degraded) group.flags &= ~SM_GROUP_DEGRADED;
    }
    groups.push_back(
        {.share = 1 - refused, .group = randomGroup(context, std::move(group), weights)});
  }
  if (refused > 0) groups.push_back({.share = refused, .group = groupWithoutHost(context)});
  return groups;
}

class Random final : public ConfiguredPolicy {
 public:
  std::string_view name() const override { return policyName(LbPolicy::kRandom); }

  PolicyGroups build(const GroupContext& context, const PolicyHosts& hosts) const override {
    return {.groups = randomGroups(context, hostPools(hosts)), .byHash = {}};
  }

  std::uint32_t cellCount(const TableShape& shape) const override { return shape.size; }

  Status check(const LbGroup& group, std::size_t) const override {
    if (auto ok = checkHosts(group); !ok) return ok;
    if (auto ok = checkTable(group); !ok) return ok;
    return checkAlias(group.table->cells, group.hosts.size());
  }

  std::vector<double> shares(const LbGroup& group, std::size_t entries) const override {
    return group.table ? aliasShares(*group.table, entries) : std::vector<double>{};
  }

  void describeCells(const LbGroup& group, const CellVisitor& visit) const override {
    describeAlias("hosts' weights", group.table->cells, visit);
  }
};

}  // namespace

const ConfiguredPolicy& randomPolicy() {
  static const Random policy;
  return policy;
}

std::shared_ptr<const LbGroup> randomGroup(const GroupContext& context, LbGroup group,
                                           const std::vector<double>& weights) {
  group.policy = SM_POLICY_RANDOM;
  group.table = context.pool.share(aliasTable(weights));
  return finished(std::move(group));
}

}  // namespace sockmesh
