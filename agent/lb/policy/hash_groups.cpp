// SPDX-License-Identifier: Apache-2.0
#include "lb/policy/hash_groups.h"

#include <utility>

#include "lb/policy/bounded_load.h"

namespace sockmesh {
namespace {

// Envoy's walk: r = hash % 100 + 1, the first of the cumulative healthy loads, then of the degraded
// ones, that is not below r. A degraded connection still uses the table of healthy hosts.
std::vector<std::uint32_t> prioritiesByHash(const PriorityLoads& loads) {
  std::vector<std::uint32_t> priorities;
  for (const auto* part : {&loads.healthy, &loads.degraded}) {
    for (std::uint32_t p = 0; p < part->size(); ++p) {
      priorities.insert(priorities.end(), (*part)[p], p);
    }
  }
  return priorities;
}

std::shared_ptr<const LbGroup> hashGroup(const GroupContext& context, const PolicyHosts& hosts,
                                         std::uint32_t priority, const HashTableMaker& make) {
  const LoadBalancing& lb = context.cluster.lb;
  const bool panic = hosts.loads.panic[priority];
  const bool localityWeighted = hosts.rules.mode == LocalityMode::kLocalityWeighted;
  const HashHosts chosen =
      hashHosts(hosts.set[priority], panic, localityWeighted, lb.useHostnameForHashing);
  if (chosen.hosts.empty()) return groupWithoutHost(context);
  HostPool source;
  source.priority = priority;
  source.panic = panic;
  LbGroup group = groupOver(context, source, chosen.hosts);
  group.balancePercent = lb.hashBalanceFactor;
  CellTable table = make(chosen.entries, group);
  if (table.size == 0) return groupWithoutHost(context);
  if (group.balancePercent > 0) appendWeights(chosen.entries, table);
  group.table = context.pool.share(std::move(table));
  return finished(std::move(group));
}

}  // namespace

PolicyGroups hashGroups(const GroupContext& context, const PolicyHosts& hosts,
                        const HashTableMaker& make) {
  PolicyGroups made;
  std::vector<std::uint32_t> groupOf(hosts.set.size(), 0);
  for (std::uint32_t p = 0; p < hosts.set.size(); ++p) {
    const std::uint32_t load = hosts.loads.healthy[p] + hosts.loads.degraded[p];
    if (load == 0) continue;
    groupOf[p] = static_cast<std::uint32_t>(made.groups.size());
    made.groups.push_back({.share = load / 100.0, .group = hashGroup(context, hosts, p, make)});
  }
  if (made.groups.size() < 2) return made;
  for (const std::uint32_t p : prioritiesByHash(hosts.loads)) made.byHash.push_back(groupOf[p]);
  return made;
}

}  // namespace sockmesh
