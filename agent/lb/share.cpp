#include "lb/share.h"

#include <cmath>
#include <vector>

#include "lb/cell_table.h"
#include "lb/consistent_hash.h"

namespace sockmesh {
namespace {

std::vector<double> wordShares(const CellTable& table, std::size_t entries) {
  std::vector<double> shares(entries, 0.0);
  for (std::uint32_t i = 0; i < table.size; ++i) shares[wordAt(table, i)] += 1.0 / table.size;
  return shares;
}

std::vector<double> weightShares(const LbGroup& group) {
  std::vector<double> shares(group.hosts.size(), 1.0 / static_cast<double>(group.hosts.size()));
  if (!group.table) return shares;
  double sum = 0;
  for (std::size_t i = 0; i < shares.size(); ++i) sum += group.table->cells[i].alias.weight;
  for (std::size_t i = 0; i < shares.size(); ++i) {
    shares[i] = group.table->cells[i].alias.weight / sum;
  }
  return shares;
}

// A ring cell is chosen by the hashes above the cell before it, up to its own.
std::vector<double> ringShares(const LbGroup& group) {
  std::vector<double> shares(group.hosts.size(), 0.0);
  const auto cells = ringCells(*group.table, group.ringShift);
  std::uint64_t before = cells.back().ring.hash;
  for (const sm_cell& cell : cells) {
    const std::uint64_t arc = cell.ring.hash - before;  // wraps at the first
    shares[cell.ring.host] += cells.size() == 1 ? 1.0 : std::ldexp(static_cast<double>(arc), -64);
    before = cell.ring.hash;
  }
  return shares;
}

std::vector<double> hostShares(const LbGroup& group) {
  switch (group.policy) {
    case SM_POLICY_RANDOM:
      return aliasShares(*group.table, group.hosts.size());
    case SM_POLICY_ROUND_ROBIN:
    case SM_POLICY_MAGLEV:
      return wordShares(*group.table, group.hosts.size());
    case SM_POLICY_LEAST_REQUEST:
      return weightShares(group);
    case SM_POLICY_RING_HASH:
      return ringShares(group);
    case SM_POLICY_LEAVE_ALONE:
    case SM_POLICY_REFUSE:
    case SM_POLICY_BY_HASH:
      break;
  }
  return {};
}

void addGroup(const LbService& service, std::size_t index, double share, ServiceShares& shares) {
  if (share <= 0) return;
  const LbGroup& group = *service.groups[index];
  if (group.policy == SM_POLICY_LEAVE_ALONE) shares.leftAlone += share;
  if (group.policy == SM_POLICY_REFUSE) shares.refused += share;
  if (group.policy == SM_POLICY_BY_HASH) {
    const auto groups = wordShares(*group.table, service.groups.size());
    for (std::size_t i = service.pickSize; i < groups.size(); ++i) {
      addGroup(service, i, share * groups[i], shares);
    }
    return;
  }
  const auto hosts = hostShares(group);
  for (std::size_t i = 0; i < hosts.size(); ++i) {
    if (hosts[i] > 0) shares.endpoints[{group.cluster, group.hosts[i]}] += share * hosts[i];
  }
}

}  // namespace

ServiceShares shareOf(const LbService& service) {
  ServiceShares shares;
  std::vector<double> picks{1.0};
  if (service.pick) picks = aliasShares(*service.pick, service.pickSize);
  for (std::size_t i = 0; i < service.pickSize; ++i) addGroup(service, i, picks[i], shares);
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
