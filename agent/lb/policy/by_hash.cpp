// SPDX-License-Identifier: Apache-2.0
#include "lb/policy/by_hash.h"

#include <utility>

#include "lb/cell_check.h"

namespace sockmesh {
namespace {

class ByHash final : public Policy {
 public:
  std::string_view name() const override { return "BY_HASH"; }
  bool leadsToGroups() const override { return true; }

  std::uint32_t cellCount(const TableShape& shape) const override {
    return wordCellCount(shape.size);
  }

  Status check(const LbGroup& group, std::size_t groups) const override {
    if (auto ok = checkTable(group); !ok) return ok;
    return checkWords(group.table->cells, group.table->size, groups);
  }

  std::vector<double> shares(const LbGroup& group, std::size_t entries) const override {
    return group.table ? wordShares(*group.table, entries) : std::vector<double>{};
  }

  std::optional<std::uint32_t> pick(const LbGroup& group, std::uint64_t hash) const override {
    return wordAt(*group.table, hash % group.table->size);
  }

  std::vector<std::string> notes(const LbGroup&) const override {
    return {"leads to the others by hash"};
  }

  void describeCells(const LbGroup& group, const CellVisitor& visit) const override {
    describeWords("table", group.table->cells, group.table->size, visit);
  }
};

}  // namespace

const Policy& byHashPolicy() {
  static const ByHash policy;
  return policy;
}

std::shared_ptr<const LbGroup> byHashGroup(const std::vector<std::uint32_t>& groups,
                                           CellPool& pool) {
  LbGroup group;
  group.policy = SM_POLICY_BY_HASH;
  group.table = pool.share(wordTable(groups));
  return std::make_shared<const LbGroup>(std::move(group));
}

}  // namespace sockmesh
