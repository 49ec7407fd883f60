// SPDX-License-Identifier: Apache-2.0
// A load balancing policy: what the table of a group means, what it amounts to, and what people are
// told of it. One object for each sm_policy, without state: any thread may ask it. The policies
// that a cluster can ask for also build groups, see configured_policy.h.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "lb/cell_text.h"
#include "lb/table_shape.h"
#include "lb/tables.h"

namespace sockmesh {

// What sm_group::cursor says, for people.
struct GroupCursor {
  std::uint64_t next = 0;  // entry of the table
  double loadFloor = 0;    // least load of a host, in units of one connection at the full weight
};

class Policy {
 public:
  Policy() = default;
  Policy(const Policy&) = delete;
  Policy& operator=(const Policy&) = delete;
  virtual ~Policy() = default;

  // "ROUND_ROBIN".
  virtual std::string_view name() const = 0;

  // Cells of a table of this shape, see tableCellCount(). `shape` may come from a damaged map.
  virtual std::uint32_t cellCount(const TableShape& shape) const;
  // Whether all indices in the table of `group` lead to a host that is there (for a policy that
  // leads to groups: to one of the `groups` groups of the service), and whether the table has as
  // many cells as the policy needs. The group may have been read from a damaged map.
  virtual Status check(const LbGroup& group, std::size_t groups) const = 0;

  // The policy chooses among the service's groups, and its group has no hosts.
  virtual bool leadsToGroups() const { return false; }
  // Hosts or groups are chosen by the connection's hash.
  virtual bool usesHash() const { return false; }
  // The choice depends on how many connections the hosts have now.
  virtual bool goesByLoad() const { return false; }

  // The share of connections that each of `entries` hosts (or groups, see leadsToGroups()) gets,
  // with hashes spread evenly and all hosts equally busy. Shorter: the others get none. What a
  // damaged table does not lead anywhere is missing from the sum, which is 1 otherwise.
  virtual std::vector<double> shares(const LbGroup& group, std::size_t entries) const;
  // The host (or group) that a connection with this hash gets; nothing: it is not chosen by hash.
  // Only of a group that passed check().
  virtual std::optional<std::uint32_t> pick(const LbGroup& group, std::uint64_t hash) const;

  // Where a new group's cursor starts, from 32 random bits.
  virtual std::uint64_t firstCursor(std::uint32_t random) const;
  virtual GroupCursor readCursor(std::uint64_t cursor) const;

  // "choices=2": what the policy goes by, besides its table.
  virtual std::vector<std::string> parameters(const LbGroup& group) const;
  // "by weight": how the policy chooses in this group, where that is not what its name says.
  virtual std::vector<std::string> notes(const LbGroup& group) const;
  // What each cell of the group's table holds. Only of a group that has a table and passed check().
  virtual void describeCells(const LbGroup& group, const CellVisitor& visit) const;
};

// The policy of a group. `policy` is a sm_policy; for a number that this build does not know it is
// a policy whose name is "unknown" and whose check() fails.
const Policy& policyOf(std::uint32_t policy);

}  // namespace sockmesh
