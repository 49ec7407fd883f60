#include "lb/share.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "lb/cell_table.h"
#include "lb/consistent_hash.h"

namespace sockmesh {
namespace {

// As if all hosts were equally busy: uniform, or by weight.
std::vector<double> leastRequestShares(const LbGroup& group) {
  const std::size_t hosts = group.hosts.size();
  if (!(group.flags & SM_GROUP_WEIGHTED)) {
    return std::vector<double>(hosts, 1.0 / static_cast<double>(hosts));
  }
  if (!group.table) return std::vector<double>(hosts, 0.0);
  // Draws go by w^(1 / (1 + bias)).
  std::vector<double> shares = aliasShares(*group.table, hosts);
  for (double& share : shares) share = std::pow(share, 1 + group.biasQ16 / 65536.0);
  const double sum = std::accumulate(shares.begin(), shares.end(), 0.0);
  for (double& share : shares) share = sum > 0 ? share / sum : 0;
  return shares;
}

// A ring cell is chosen by the hashes above the cell before it, up to its own.
std::vector<double> ringShares(const LbGroup& group) {
  std::vector<double> shares(group.hosts.size(), 0.0);
  const auto cells = ringCells(*group.table, group.ringShift);
  if (cells.empty()) return shares;
  std::uint64_t before = cells.back().ring.hash;
  for (const sm_cell& cell : cells) {
    const std::uint64_t arc = cell.ring.hash - before;  // wraps at the first
    before = cell.ring.hash;
    if (cell.ring.host >= shares.size()) continue;
    shares[cell.ring.host] += cells.size() == 1 ? 1.0 : std::ldexp(static_cast<double>(arc), -64);
  }
  return shares;
}

std::vector<double> hostShares(const LbGroup& group) {
  if (group.policy == SM_POLICY_LEAST_REQUEST) return leastRequestShares(group);
  if (!group.table) return {};
  switch (group.policy) {
    case SM_POLICY_RANDOM:
      return aliasShares(*group.table, group.hosts.size());
    case SM_POLICY_ROUND_ROBIN:
    case SM_POLICY_MAGLEV:
      return wordShares(*group.table, group.hosts.size());
    case SM_POLICY_RING_HASH:
      return ringShares(group);
    default:
      return {};
  }
}

void addGroup(const LbGroup& group, double share, ServiceShares& shares) {
  if (share <= 0) return;
  if (group.policy == SM_POLICY_LEAVE_ALONE) shares.leftAlone += share;
  if (group.policy == SM_POLICY_REFUSE) shares.refused += share;
  const auto hosts = hostShares(group);
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

// The shares of a service's groups; a SM_POLICY_BY_HASH group's goes to those it leads to.
std::vector<double> groupShares(const LbService& service) {
  const auto picks = pickShares(service);
  std::vector<double> shares(service.groups.size(), 0.0);
  for (std::size_t i = 0; i < picks.size(); ++i) {
    const LbGroup& group = *service.groups[i];
    if (group.policy != SM_POLICY_BY_HASH) {
      shares[i] += picks[i];
      continue;
    }
    if (!group.table) continue;
    const auto led = wordShares(*group.table, shares.size());
    for (std::size_t g = 0; g < led.size(); ++g) shares[g] += picks[i] * led[g];
  }
  return shares;
}

// The group that a connection meets which picked group `picked`.
std::size_t groupByHash(const LbService& service, std::size_t picked, std::uint64_t hash) {
  const LbGroup& group = *service.groups[picked];
  if (group.policy != SM_POLICY_BY_HASH) return picked;
  return wordAt(*group.table, hash % group.table->size);
}

const SocketAddress* hostByHash(const LbGroup& group, std::uint64_t hash) {
  if (group.policy == SM_POLICY_MAGLEV) {
    return &group.hosts[wordAt(*group.table, hash % group.table->size)];
  }
  if (group.policy == SM_POLICY_RING_HASH) {
    return &group.hosts[ringPick(*group.table, group.ringShift, hash)];
  }
  return nullptr;
}

}  // namespace

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
    choices.push_back({picks[i], group, hostByHash(*service.groups[group], hash)});
  }
  return choices;
}

}  // namespace sockmesh
