// SPDX-License-Identifier: Apache-2.0
#include "lb/share.h"

#include <algorithm>
#include <vector>

#include "lb/cell_table.h"
#include "lb/policy/policy.h"

namespace sockmesh {
namespace {

void addGroup(const LbGroup& group, double share, ServiceShares& shares) {
  const Policy& policy = policyOf(group.policy);
  if (share <= 0 || policy.leadsToGroups()) return;
  if (group.policy == SM_POLICY_LEAVE_ALONE) shares.leftAlone += share;
  if (group.policy == SM_POLICY_REFUSE) shares.refused += share;
  const auto hosts = policy.shares(group, group.hosts.size());
  for (std::size_t i = 0; i < hosts.size(); ++i) {
    if (hosts[i] > 0) shares.endpoints[{group.cluster, group.hosts[i]}] += share * hosts[i];
  }
}

// The shares of the groups that are picked from.
std::vector<double> pickShares(const LbService& service) {
  const std::size_t picked = std::min<std::size_t>(service.pickSize, service.groups.size());
  if (picked > 1 && service.pick) return aliasShares(*service.pick, picked);
  return std::vector<double>(picked, picked == 1 ? 1.0 : 0.0);
}

// The group of a connection that picked group `picked`.
std::size_t groupByHash(const LbService& service, std::size_t picked, std::uint64_t hash) {
  const LbGroup& group = *service.groups[picked];
  const Policy& policy = policyOf(group.policy);
  return policy.leadsToGroups() ? policy.pick(group, hash).value_or(picked) : picked;
}

const SocketAddress* hostByHash(const LbGroup& group, std::uint64_t hash) {
  const auto host = policyOf(group.policy).pick(group, hash);
  return host ? &group.hosts[*host] : nullptr;
}

}  // namespace

std::vector<double> groupShares(const LbService& service) {
  std::vector<double> shares = pickShares(service);
  shares.resize(service.groups.size(), 0.0);
  // Only groups of the pick lead to the groups behind them, so one pass is enough.
  for (std::size_t i = 0; i < std::min<std::size_t>(service.pickSize, shares.size()); ++i) {
    const Policy& policy = policyOf(service.groups[i]->policy);
    if (!policy.leadsToGroups()) continue;
    const auto led = policy.shares(*service.groups[i], shares.size());
    double passed = 0;
    for (std::size_t g = 0; g < led.size(); ++g) {
      if (g == i) continue;
      shares[g] += shares[i] * led[g];
      passed += led[g];
    }
    shares[i] *= std::max(0.0, 1 - passed);
  }
  return shares;
}

ServiceShares shareOf(const LbService& service) {
  ServiceShares shares;
  const auto groups = groupShares(service);
  for (std::size_t i = 0; i < groups.size(); ++i) addGroup(*service.groups[i], groups[i], shares);
  return shares;
}

const SocketAddress* pickByHash(const LbService& service, std::uint64_t hash) {
  if (service.pickSize != 1) return nullptr;
  return hostByHash(*service.groups[groupByHash(service, 0, hash)], hash);
}

std::vector<HashChoice> choicesByHash(const LbService& service, std::uint64_t hash) {
  const auto picks = pickShares(service);
  std::vector<HashChoice> choices;
  for (std::size_t i = 0; i < picks.size(); ++i) {
    if (picks[i] <= 0) continue;
    const std::size_t group = groupByHash(service, i, hash);
    choices.push_back(
        {.share = picks[i], .group = group, .endpoint = hostByHash(*service.groups[group], hash)});
  }
  return choices;
}

}  // namespace sockmesh
