// SPDX-License-Identifier: Apache-2.0
#include "lb/service_builder.h"

#include <algorithm>
#include <utility>

#include "lb/policy/by_hash.h"

namespace sockmesh {
namespace {

std::uint32_t flagsOf(const Listener& listener, const ServiceLeg& leg) {
  std::uint32_t flags = 0;
  if (leg.cluster == nullptr || !leg.plans.both->rewriting) return flags;
  const LoadBalancing& lb = leg.cluster->lb;
  if (leg.cluster->automaticTls) flags |= SM_DESCRIPTOR_AUTO_TLS;
  if (!leg.plans.both->hashing) return flags;
  // A typed policy's own hash_policy overrides the listener's.
  if (lb.hashPolicyGiven ? lb.hashSourceIp : listener.route.hashSourceIp) {
    flags |= SM_DESCRIPTOR_HASH_SOURCE;
  }
  if (!lb.hashNeedsLayerSeven.empty()) flags |= SM_DESCRIPTOR_NEEDS_L7;
  return flags;
}

// The groups that a SM_POLICY_BY_HASH group leads to. Its table of words is made once the places of
// these groups are known.
struct Deferred {
  std::size_t entry = 0;  // index of the SM_POLICY_BY_HASH group
  std::uint16_t leg = 0;
  const ClusterPlan* plan = nullptr;
};

void appendDeferred(const Deferred& deferred, LbService& service, CellPool& pool) {
  const auto first = static_cast<std::uint32_t>(service.groups.size());
  std::vector<std::uint32_t> words;
  words.reserve(deferred.plan->byHash.size());
  for (const std::uint32_t group : deferred.plan->byHash) words.push_back(first + group);
  service.groups[deferred.entry] = byHashGroup(words, pool);
  for (const SharedGroup& group : deferred.plan->groups) {
    service.groups.push_back(group.group);
    service.legs.push_back(deferred.leg);
  }
}

}  // namespace

bool differs(const std::vector<ServiceLeg>& legs, Reach reach) {
  return std::any_of(legs.begin(), legs.end(), [reach](const ServiceLeg& leg) {
    return leg.plans.of(reach) != leg.plans.both;
  });
}

LbService buildService(const Listener& listener, const std::vector<ServiceLeg>& legs, Reach reach,
                       CellPool& pool) {
  LbService service;
  service.name = listener.name;
  service.protocol = listener.protocol;
  if (!listener.needsLayer7.empty()) service.flags |= SM_DESCRIPTOR_NEEDS_L7;
  std::vector<double> shares;
  std::vector<Deferred> deferred;
  std::uint16_t index = 0;
  for (const ServiceLeg& leg : legs) {
    const std::uint16_t legIndex = index++;
    const PlanPtr& plan = leg.plans.of(reach);
    service.flags |= flagsOf(listener, leg);
    if (!plan->byHash.empty()) {
      deferred.push_back({service.groups.size(), legIndex, plan.get()});
      service.groups.push_back(nullptr);
      service.legs.push_back(legIndex);
      shares.push_back(leg.weight);
      continue;
    }
    for (const SharedGroup& group : plan->groups) {
      service.groups.push_back(group.group);
      service.legs.push_back(legIndex);
      shares.push_back(leg.weight * group.share);
    }
  }
  service.pickSize = static_cast<std::uint32_t>(service.groups.size());
  if (service.pickSize > 1) service.pick = pool.share(aliasTable(shares));
  for (const Deferred& one : deferred) appendDeferred(one, service, pool);
  return service;
}

}  // namespace sockmesh
