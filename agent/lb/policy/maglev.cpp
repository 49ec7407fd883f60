// SPDX-License-Identifier: Apache-2.0
#include "lb/policy/maglev.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <queue>

#include "lb/cell_check.h"
#include "lb/cell_table.h"
#include "lb/hash.h"
#include "lb/policy/bounded_load.h"
#include "lb/policy/hash_groups.h"
#include "model/lb_policy.h"

namespace sockmesh {
namespace {

constexpr std::uint32_t kUnset = UINT32_MAX;

// One host's walk over the table: offset, offset + skip, ... modulo the size.
struct Permutation {
  std::uint32_t host = 0;
  double weight = 0;
  double target = 0;
  std::uint64_t next = 0;
  std::uint64_t skip = 0;
};

std::vector<Permutation> permutations(std::span<const HashHost> hosts, std::uint64_t tableSize) {
  std::vector<std::uint32_t> order(hosts.size());
  for (std::uint32_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(),
                   [&](std::uint32_t a, std::uint32_t b) { return hosts[a].key < hosts[b].key; });
  std::vector<Permutation> result;
  for (const std::uint32_t i : order) {
    Permutation walk;
    walk.host = i;
    walk.weight = hosts[i].weight;
    walk.next = xxHash64(hosts[i].key, 0) % tableSize;
    walk.skip = tableSize > 1 ? xxHash64(hosts[i].key, 1) % (tableSize - 1) + 1 : 0;
    result.push_back(walk);
  }
  return result;
}

// Envoy's Maglev table. In each iteration the heaviest host takes a slot, other hosts in
// proportion. Envoy asks every host in every iteration. Here a host that is much lighter than the
// heaviest one waits for the iteration in which it is due, so that many such hosts cost nothing
// meanwhile.
class MaglevFiller {
 public:
  MaglevFiller(std::span<const HashHost> hosts, std::uint64_t tableSize)
      : table_(tableSize, kUnset), walks_(permutations(hosts, tableSize)) {
    for (const Permutation& walk : walks_) heaviest_ = std::max(heaviest_, walk.weight);
    for (std::uint32_t i = 0; i < walks_.size(); ++i) {
      if (walks_[i].weight * kMuchLighter < heaviest_) {
        waiting_.push({1, i});
      } else {
        asked_.push_back(i);
      }
    }
  }

  std::vector<std::uint32_t> fill() {
    for (double iteration = 1; filled_ < table_.size(); ++iteration) iterate(iteration);
    return std::move(table_);
  }

 private:
  static constexpr double kMuchLighter = 16;
  struct Turn {
    double iteration = 0;  // counted in a double, as Envoy does
    std::uint32_t walk = 0;
    auto operator<=>(const Turn&) const = default;
  };

  // Hosts go by their order.
  void iterate(double iteration) {
    std::size_t at = 0;
    while (filled_ < table_.size()) {
      const bool isDue = !waiting_.empty() && waiting_.top().iteration <= iteration;
      if (isDue && (at == asked_.size() || waiting_.top().walk < asked_[at])) {
        const std::uint32_t index = waiting_.top().walk;
        waiting_.pop();
        take(walks_[index]);
        waiting_.push({dueAfter(iteration, walks_[index]), index});
      } else if (at < asked_.size()) {
        Permutation& walk = walks_[asked_[at++]];
        if (iteration * walk.weight >= walk.target) take(walk);
      } else {
        return;
      }
    }
  }

  void take(Permutation& walk) {
    walk.target += heaviest_;
    while (table_[walk.next] != kUnset) {
      walk.next += walk.skip;
      if (walk.next >= table_.size()) walk.next -= table_.size();
    }
    table_[walk.next] = walk.host;
    ++filled_;
  }

  // The first later iteration in which Envoy's own comparison holds. Rounding may have made the
  // quotient inexact.
  static double dueAfter(double iteration, const Permutation& walk) {
    double due = std::max(iteration + 1, std::floor(walk.target / walk.weight) - 1);
    while (due * walk.weight < walk.target) ++due;
    return due;
  }

  std::vector<std::uint32_t> table_;
  std::vector<Permutation> walks_;
  double heaviest_ = 0;
  std::uint64_t filled_ = 0;
  std::vector<std::uint32_t> asked_;  // in every iteration
  std::priority_queue<Turn, std::vector<Turn>, std::greater<>> waiting_;
};

class Maglev final : public ConfiguredPolicy {
 public:
  std::string_view name() const override { return policyName(LbPolicy::kMaglev); }
  bool usesHash() const override { return true; }

  PolicyGroups build(const GroupContext& context, const PolicyHosts& hosts) const override {
    const std::uint64_t size = context.cluster.lb.maglevTableSize;
    return hashGroups(context, hosts, [size](std::span<const HashHost> entries, LbGroup& group) {
      group.policy = SM_POLICY_MAGLEV;
      return wordTable(maglevTable(entries, size));
    });
  }

  std::uint32_t cellCount(const TableShape& shape) const override {
    return wordCellCount(shape.size) + boundedLoadCells(shape);
  }

  Status check(const LbGroup& group, std::size_t) const override {
    if (auto ok = checkHosts(group); !ok) return ok;
    if (auto ok = checkTable(group); !ok) return ok;
    return checkWords(group.table->cells, group.table->size, group.hosts.size());
  }

  std::vector<double> shares(const LbGroup& group, std::size_t entries) const override {
    return group.table ? wordShares(*group.table, entries) : std::vector<double>{};
  }

  std::optional<std::uint32_t> pick(const LbGroup& group, std::uint64_t hash) const override {
    return wordAt(*group.table, hash % group.table->size);
  }

  std::vector<std::string> parameters(const LbGroup& group) const override {
    return boundedLoadParameters(group);
  }

  void describeCells(const LbGroup& group, const CellVisitor& visit) const override {
    describeWords("table", group.table->cells, group.table->size, visit);
    describeBoundedLoad(group, visit);
  }
};

}  // namespace

const ConfiguredPolicy& maglevPolicy() {
  static const Maglev policy;
  return policy;
}

std::vector<std::uint32_t> maglevTable(std::span<const HashHost> hosts, std::uint64_t tableSize) {
  return MaglevFiller(hosts, tableSize).fill();
}

}  // namespace sockmesh
