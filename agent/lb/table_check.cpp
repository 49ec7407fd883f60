// SPDX-License-Identifier: Apache-2.0
#include "lb/table_check.h"

#include <cstddef>
#include <string>

#include "lb/table_shape.h"

namespace sockmesh {
namespace {

Error outOfBounds(const char* what, std::size_t index, std::uint32_t value, std::size_t limit) {
  return Error(std::string(what) + "[" + std::to_string(index) + "]: " + std::to_string(value) +
               " is not below " + std::to_string(limit));
}

Status checkAlias(const std::vector<sm_cell>& cells, std::size_t limit) {
  for (std::size_t i = 0; i < cells.size(); ++i) {
    const auto& entry = cells[i].alias;
    if (entry.here >= limit) return outOfBounds("alias", i, entry.here, limit);
    // Not read where the entry is always `here`.
    if (entry.threshold != UINT32_MAX && entry.other >= limit) {
      return outOfBounds("alias", i, entry.other, limit);
    }
  }
  return {};
}

Status checkWords(const CellTable& table, std::uint64_t count, std::size_t limit) {
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::uint32_t word = table.cells[i / 4].words[i % 4];
    if (word >= limit) return outOfBounds("word", i, word, limit);
  }
  return {};
}

Status checkRing(const LbGroup& group, std::size_t hosts) {
  const std::uint64_t buckets = 1ULL << (64 - group.ringShift);
  // A bucket may point past the last cell: the walk then wraps to the first.
  if (auto ok = checkWords(*group.table, buckets, group.table->size + 1ULL); !ok) return ok;
  const std::size_t first = (buckets + 3) / 4;
  for (std::size_t i = first; i < first + group.table->size; ++i) {
    const std::uint32_t host = group.table->cells[i].ring.host;
    if (host >= hosts) return outOfBounds("ring", i, host, hosts);
  }
  return {};
}

bool needsTable(const LbGroup& group) {
  switch (group.policy) {
    case SM_POLICY_LEAVE_ALONE:
    case SM_POLICY_REFUSE:
      return false;
    case SM_POLICY_LEAST_REQUEST:
      return (group.flags & SM_GROUP_WEIGHTED) != 0;
    default:
      return true;
  }
}

Status checkGroup(const LbGroup& group, std::size_t groups) {
  const bool passesOn = group.policy == SM_POLICY_BY_HASH;
  const bool chooses =
      !passesOn && group.policy != SM_POLICY_LEAVE_ALONE && group.policy != SM_POLICY_REFUSE;
  if (chooses && group.hosts.empty()) return Error("no hosts");
  if (!needsTable(group)) return {};
  if (!group.table || group.table->size == 0) return Error("no table");
  if (group.policy == SM_POLICY_RING_HASH && (group.ringShift < 32 || group.ringShift > 62)) {
    return Error("ring_shift: " + std::to_string(group.ringShift));
  }
  const std::size_t cells = tableCellCount(shapeOf(group));
  if (group.table->cells.size() != cells) return Error("not as many cells as the table needs");
  switch (group.policy) {
    case SM_POLICY_RANDOM:
      return checkAlias(group.table->cells, group.hosts.size());
    case SM_POLICY_LEAST_REQUEST:
      return cells >= group.hosts.size() ? Status() : Status(Error("hosts without a weight"));
    case SM_POLICY_RING_HASH:
      return checkRing(group, group.hosts.size());
    case SM_POLICY_BY_HASH:
      return checkWords(*group.table, group.table->size, groups);
    default:
      return checkWords(*group.table, group.table->size, group.hosts.size());
  }
}

}  // namespace

Status checkTables(const LbService& service) {
  if (service.groups.empty() || service.pickSize == 0 || service.pickSize > service.groups.size()) {
    return Error("pick_size: " + std::to_string(service.pickSize) + " of " +
                 std::to_string(service.groups.size()) + " groups");
  }
  if (service.pickSize > 1 && !service.pick) return Error("no pick table");
  if (service.pick) {
    if (auto ok = checkAlias(service.pick->cells, service.pickSize); !ok) {
      return ok.error().in("pick");
    }
  }
  for (std::size_t i = 0; i < service.groups.size(); ++i) {
    if (auto ok = checkGroup(*service.groups[i], service.groups.size()); !ok) {
      return ok.error().in("groups[" + std::to_string(i) + "]");
    }
  }
  for (const auto& only : {service.ipv4Only, service.ipv6Only}) {
    if (!only) continue;
    if (auto ok = checkTables(*only); !ok) {
      return ok.error().in(only == service.ipv4Only ? "ipv4_only" : "ipv6_only");
    }
  }
  return {};
}

}  // namespace sockmesh
