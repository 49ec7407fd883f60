#include "lb/share.h"

#include <algorithm>
#include <cmath>
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
  std::vector<double> shares(hosts, 0.0);
  if (!group.table || group.table->cells.size() < hosts) return shares;
  double sum = 0;
  for (std::size_t i = 0; i < hosts; ++i) sum += group.table->cells[i].alias.weight;
  for (std::size_t i = 0; i < hosts; ++i) shares[i] = group.table->cells[i].alias.weight / sum;
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

// The shares of a service's groups; a SM_POLICY_BY_HASH group's goes to those it leads to.
std::vector<double> groupShares(const LbService& service) {
  const std::size_t picked = std::min<std::size_t>(service.pickSize, service.groups.size());
  std::vector<double> picks(picked, picked == 1 ? 1.0 : 0.0);
  if (picked > 1 && service.pick) picks = aliasShares(*service.pick, picked);
  std::vector<double> shares(service.groups.size(), 0.0);
  for (std::size_t i = 0; i < picked; ++i) {
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

}  // namespace

ServiceShares shareOf(const LbService& service) {
  ServiceShares shares;
  const auto groups = groupShares(service);
  for (std::size_t i = 0; i < groups.size(); ++i) addGroup(*service.groups[i], groups[i], shares);
  return shares;
}

const SocketAddress* pickByHash(const LbService& service, std::uint64_t hash) {
  if (service.pickSize != 1) return nullptr;
  const LbGroup* group = service.groups[0].get();
  if (group->policy == SM_POLICY_BY_HASH) {
    group = service.groups[wordAt(*group->table, hash % group->table->size)].get();
  }
  if (group->policy == SM_POLICY_MAGLEV) {
    return &group->hosts[wordAt(*group->table, hash % group->table->size)];
  }
  if (group->policy == SM_POLICY_RING_HASH) {
    return &group->hosts[ringPick(*group->table, group->ringShift, hash)];
  }
  return nullptr;
}

}  // namespace sockmesh
