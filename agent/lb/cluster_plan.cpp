// SPDX-License-Identifier: Apache-2.0
#include "lb/cluster_plan.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "lb/subset.h"

namespace sockmesh {
namespace {

sm_reason reasonOf(LeftAloneReason reason) {
  switch (reason) {
    case LeftAloneReason::kTls:
      return SM_REASON_TLS;
    case LeftAloneReason::kOriginalDst:
      return SM_REASON_ORIGINAL_DST;
    case LeftAloneReason::kBlackHole:
      return SM_REASON_BLACK_HOLE;
    case LeftAloneReason::kUnsupportedDiscovery:
      return SM_REASON_UNSUPPORTED;
    case LeftAloneReason::kNone:
      break;
  }
  return SM_REASON_NONE;
}

// Locality weights count in a subset only if the configuration says so.
LocalityMode modeOf(const LoadBalancing& lb) {
  const bool ignores = lb.subset && !lb.subset->localityWeightAware &&
                       lb.localityMode == LocalityMode::kLocalityWeighted;
  return ignores ? LocalityMode::kFlat : lb.localityMode;
}

// locality_weight scaled by the part of the locality's hosts that the subset kept.
void scaleLocalityWeights(PrioritySet& set) {
  for (HostSet& level : set) {
    for (LocalityHosts& locality : level.localities) {
      const double kept =
          static_cast<double>(locality.hosts.size()) / static_cast<double>(locality.unfiltered);
      locality.weight = static_cast<std::uint32_t>(std::round(locality.weight * kept));
    }
  }
}

PrioritySet hostsOf(const PlanInputs& inputs, const SubsetChoice& subset) {
  const LoadBalancing& lb = inputs.cluster.lb;
  HostFacts facts;
  facts.ejected = inputs.ejected;
  facts.nodeLocality = inputs.options.nodeLocality;
  facts.filter = subset.filter;
  if (lb.slowStart.window > Nanos{0} && usesSlowStart(lb.policy)) {
    facts.weightFactor = [&inputs](const Endpoint& endpoint) {
      return inputs.ages.factor(inputs.cluster.lb.slowStart, endpoint.address, inputs.now);
    };
  }
  PrioritySet set = prioritySet(inputs.assignment, facts);
  if (lb.subset && lb.subset->scaleLocalityWeight) scaleLocalityWeights(set);
  return set;
}

bool hasEndpoints(const LoadAssignment& assignment) {
  return std::any_of(assignment.localities.begin(), assignment.localities.end(),
                     [](const LocalityEndpoints& one) { return !one.endpoints.empty(); });
}

// `plan`, in which groups that equal those of `before` are the same objects.
PlanPtr shareGroups(ClusterPlan plan, const ClusterPlan* before) {
  const std::size_t known = before == nullptr ? 0 : before->groups.size();
  for (std::size_t i = 0; i < std::min(plan.groups.size(), known); ++i) {
    if (*plan.groups[i].group == *before->groups[i].group) {
      plan.groups[i].group = before->groups[i].group;
    }
  }
  return std::make_shared<const ClusterPlan>(std::move(plan));
}

// Whether all eligible hosts are healthy hosts of one priority. If all of them are ejected, no
// other host can take over.
bool eligibleAreOneSet(const PrioritySet& set) {
  std::size_t sets = 0;
  for (const HostSet& priority : set) {
    bool healthy = false;
    for (const Host& host : priority.hosts) {
      if (host.health == HostHealth::kDegraded) return false;
      healthy |= host.health == HostHealth::kHealthy;
    }
    sets += healthy ? 1 : 0;
  }
  return sets == 1;
}

ClusterPlan refusingPlan(const PlanInputs& inputs, sm_reason reason) {
  ClusterPlan plan;
  plan.hashing = usesHash(inputs.cluster.lb.policy);
  plan.rewriting = true;
  plan.groups.push_back(
      {.share = 1, .group = fixedOutcomeGroup(SM_POLICY_REFUSE, reason, inputs.cluster.name)});
  return plan;
}

// The plan over the hosts of a subset, or over all of them.
ClusterPlan planPolicy(const PlanInputs& inputs, CellPool& pool, const SubsetChoice& subset) {
  const LoadBalancing& lb = inputs.cluster.lb;
  ClusterPlan plan;
  plan.hashing = usesHash(lb.policy);
  plan.rewriting = true;
  const PrioritySet set = hostsOf(inputs, subset);
  const std::uint32_t factor = inputs.assignment.overprovisioningFactor;
  const PriorityLoads loads =
      priorityLoads(set, {.overprovisioningFactor = factor,
                          .weightedPriorityHealth = inputs.assignment.weightedPriorityHealth,
                          .panicThresholdPercent = lb.healthyPanicThresholdPercent});
  const bool noPanic = lb.healthyPanicThresholdPercent < 1 && !subset.anyInPanic;
  const GroupContext context{.cluster = inputs.cluster,
                             .pool = pool,
                             .options = inputs.options,
                             .reasonNoHost = hasEndpoints(inputs.assignment)
                                                 ? SM_REASON_NO_HEALTHY
                                                 : SM_REASON_NO_ENDPOINTS,
                             .noPanic = noPanic && eligibleAreOneSet(set)};
  const LocalityRules rules{.mode = modeOf(lb),
                            .overprovisioningFactor = factor,
                            .panicThresholdPercent = lb.healthyPanicThresholdPercent,
                            .zoneAware = lb.zoneAware,
                            .localCluster = inputs.localCluster};
  static_cast<PolicyGroups&>(plan) =
      configuredPolicy(lb.policy)->build(context, {.set = set, .loads = loads, .rules = rules});
  return plan;
}

bool refuses(const SharedGroup& group) {
  return group.group->policy == SM_POLICY_REFUSE;
}

// By hash mod 100. Connections without a host in `plan` go where `any` sends the same hash.
void fallBackByHash(ClusterPlan& plan, const ClusterPlan& any) {
  const auto first = static_cast<std::uint32_t>(plan.groups.size());
  for (std::uint32_t i = 0; i < plan.byHash.size(); ++i) {
    if (!refuses(plan.groups[plan.byHash[i]])) continue;
    plan.byHash[i] = first + (any.byHash.empty() ? 0 : any.byHash[i]);
  }
  plan.groups.insert(plan.groups.end(), any.groups.begin(), any.groups.end());
  for (std::uint32_t g = 0; g < plan.groups.size(); ++g) {
    const auto words = std::count(plan.byHash.begin(), plan.byHash.end(), g);
    plan.groups[g].share = static_cast<double>(words) / static_cast<double>(plan.byHash.size());
  }
}

// Connections without a host in `plan` follow `any`.
ClusterPlan withFallback(ClusterPlan plan, const ClusterPlan& any) {
  if (std::none_of(plan.groups.begin(), plan.groups.end(), refuses)) return plan;
  if (std::all_of(plan.groups.begin(), plan.groups.end(), refuses)) return any;
  if (!plan.byHash.empty()) {
    fallBackByHash(plan, any);
    return plan;
  }
  double refused = 0;
  for (const SharedGroup& group : plan.groups) refused += refuses(group) ? group.share : 0;
  std::erase_if(plan.groups, refuses);
  for (const SharedGroup& group : any.groups) {
    plan.groups.push_back({.share = refused * group.share, .group = group.group});
  }
  return plan;
}

// The endpoints of `assignment` that the leg's metadata selects.
SubsetChoice subsetOf(const PlanInputs& inputs, const LoadAssignment& assignment) {
  if (!inputs.cluster.lb.subset) return {};
  return chooseSubset(*inputs.cluster.lb.subset, inputs.criteria, assignment);
}

// The plan over `inputs.assignment`, which lacks the hosts out of reach. `whole` has all hosts.
ClusterPlan planReachable(const PlanInputs& inputs, CellPool& pool, const LoadAssignment& whole) {
  if (hasEndpoints(whole) && !hasEndpoints(inputs.assignment)) {
    return refusingPlan(inputs, SM_REASON_NO_REACHABLE);
  }
  const SubsetChoice subset = subsetOf(inputs, inputs.assignment);
  if (!subset.none) {
    ClusterPlan plan = planPolicy(inputs, pool, subset);
    return subset.anyInPanic ? withFallback(std::move(plan), planPolicy(inputs, pool, {})) : plan;
  }
  if (subset.anyInPanic) return planPolicy(inputs, pool, {});
  if (!hasEndpoints(whole)) return refusingPlan(inputs, SM_REASON_NO_ENDPOINTS);
  const bool matchesOthers = &whole != &inputs.assignment && !subsetOf(inputs, whole).none;
  return refusingPlan(inputs, matchesOthers ? SM_REASON_NO_REACHABLE : SM_REASON_NO_SUBSET);
}

}  // namespace

sm_reason leftAloneReason(const Cluster* cluster, const LoadAssignment* assignment) {
  if (cluster == nullptr) return SM_REASON_CLUSTER_UNKNOWN;
  if (cluster->leaveAlone != LeftAloneReason::kNone) return reasonOf(cluster->leaveAlone);
  if (configuredPolicy(cluster->lb.policy) == nullptr) return SM_REASON_ORIGINAL_DST;
  return assignment == nullptr ? SM_REASON_ENDPOINTS_UNKNOWN : SM_REASON_NONE;
}

const PlanPtr& ClusterPlans::of(Reach reach) const {
  if (reach == Reach::kIpv4) return ipv4Only;
  return reach == Reach::kIpv6 ? ipv6Only : both;
}

PlanInputs PlanInputs::over(const LoadAssignment& other) const {
  return {.cluster = cluster,
          .assignment = other,
          .criteria = criteria,
          .ejected = ejected,
          .options = options,
          .ages = ages,
          .localCluster = localCluster,
          .now = now,
          .reach = reach};
}

PlanPtr leftAlonePlan(const std::string& cluster, sm_reason reason) {
  auto plan = std::make_shared<ClusterPlan>();
  plan->groups.push_back(
      {.share = 1, .group = fixedOutcomeGroup(SM_POLICY_LEAVE_ALONE, reason, cluster)});
  return plan;
}

PlanPtr absentPlan(const std::string& cluster) {
  auto plan = std::make_shared<ClusterPlan>();
  plan->rewriting = true;
  plan->groups.push_back(
      {.share = 1,
       .group = fixedOutcomeGroup(SM_POLICY_REFUSE, SM_REASON_CLUSTER_ABSENT, cluster)});
  return plan;
}

PlanPtr planCluster(const PlanInputs& inputs, CellPool& pool, const ClusterPlan* before) {
  const LoadAssignment& whole = inputs.assignment;
  if (inputs.reach == Reach::kBoth) return shareGroups(planReachable(inputs, pool, whole), before);
  const LoadAssignment kept = reachable(whole, inputs.reach);
  return shareGroups(planReachable(inputs.over(kept), pool, whole), before);
}

}  // namespace sockmesh
