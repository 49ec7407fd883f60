// SPDX-License-Identifier: Apache-2.0
#include "lb/policy/least_request.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "base/number_text.h"
#include "lb/cell_check.h"
#include "lb/cell_table.h"
#include "lb/policy/weight_groups.h"
#include "model/lb_policy.h"

namespace sockmesh {
namespace {

constexpr double kQ16 = 65536;
constexpr double kFloorUnit = 16;  // see SM_LR_CURSOR

bool allEqual(const std::vector<double>& weights) {
  return std::all_of(weights.begin(), weights.end(),
                     [&](double weight) { return weight == weights.front(); });
}

// Draws by w^(1 / (1 + bias)); see bpf/policy/least_request.h.
CellTable leastRequestTable(std::vector<double> weights, double bias) {
  const double heaviest = *std::max_element(weights.begin(), weights.end());
  for (double& weight : weights) weight = std::pow(weight / heaviest, 1 / (1 + bias));
  CellTable table = aliasTable(weights);
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const double inverse = std::round(kQ16 / weights[i]);
    table.cells[i].alias.inverse_q16 = static_cast<__u32>(std::min(inverse, double{UINT32_MAX}));
  }
  return table;
}

std::shared_ptr<const LbGroup> leastRequestPart(const GroupContext& context, const HostPool& source,
                                                const HostPoolPart& part) {
  const LoadBalancing& lb = context.cluster.lb;
  LbGroup group = groupOver(context, source, part.hosts);
  group.policy = SM_POLICY_LEAST_REQUEST;
  group.choiceCount = lb.choiceCount;
  const double bias = std::clamp(lb.activeRequestBias, 0.0, UINT32_MAX / kQ16);
  group.biasQ16 = static_cast<std::uint32_t>(std::round(bias * kQ16));
  if (lb.fullScan) group.flags |= SM_GROUP_FULL_SCAN;
  const std::vector<double> weights = weightsOf(part.hosts);
  if (!allEqual(weights)) {
    group.flags |= SM_GROUP_WEIGHTED;
    group.table = context.pool.share(leastRequestTable(weights, bias));
  }
  return finished(std::move(group));
}

bool isWeighted(const LbGroup& group) {
  return (group.flags & SM_GROUP_WEIGHTED) != 0;
}

// Draws go by w^(1 / (1 + bias)).
std::vector<double> weightedShares(const LbGroup& group, std::size_t entries) {
  std::vector<double> shares = aliasShares(*group.table, entries);
  for (double& share : shares) share = std::pow(share, 1 + group.biasQ16 / kQ16);
  const double sum = std::accumulate(shares.begin(), shares.end(), 0.0);
  for (double& share : shares) share = sum > 0 ? share / sum : 0;
  return shares;
}

class LeastRequest final : public ConfiguredPolicy {
 public:
  std::string_view name() const override { return policyName(LbPolicy::kLeastRequest); }
  bool goesByLoad() const override { return true; }

  PolicyGroups build(const GroupContext& context, const PolicyHosts& hosts) const override {
    PolicyGroups made;
    const auto part = [&context](const HostPool& source, const HostPoolPart& one) {
      return leastRequestPart(context, source, one);
    };
    for (const HostPool& source : hostPools(hosts)) {
      appendParts(context, source, part, made.groups);
    }
    return made;
  }

  std::uint32_t cellCount(const TableShape& shape) const override {
    return (shape.flags & SM_GROUP_WEIGHTED) != 0 ? shape.size : 0;
  }

  Status check(const LbGroup& group, std::size_t) const override {
    if (auto ok = checkHosts(group); !ok || !isWeighted(group)) return ok;
    if (auto ok = checkTable(group); !ok) return ok;
    if (group.table->cells.size() < group.hosts.size()) return Error("hosts without a weight");
    return {};
  }

  std::vector<double> shares(const LbGroup& group, std::size_t entries) const override {
    if (!isWeighted(group)) {
      return std::vector<double>(entries, 1.0 / static_cast<double>(entries));
    }
    return group.table ? weightedShares(group, entries) : std::vector<double>{};
  }

  GroupCursor readCursor(std::uint64_t cursor) const override {
    return {.next = 0, .loadFloor = SM_LR_FLOOR(cursor) / kFloorUnit};
  }

  std::vector<std::string> parameters(const LbGroup& group) const override {
    if (isWeighted(group)) return {"bias=" + shortText(group.biasQ16 / kQ16)};
    if ((group.flags & SM_GROUP_FULL_SCAN) != 0) return {};
    return {"choices=" + std::to_string(group.choiceCount)};
  }

  std::vector<std::string> notes(const LbGroup& group) const override {
    std::vector<std::string> notes;
    if (isWeighted(group)) notes.emplace_back("by weight");
    if ((group.flags & SM_GROUP_FULL_SCAN) != 0) notes.emplace_back("all hosts compared");
    return notes;
  }

  void describeCells(const LbGroup& group, const CellVisitor& visit) const override {
    describeAlias("hosts' weights", group.table->cells, visit);
  }
};

}  // namespace

const ConfiguredPolicy& leastRequestPolicy() {
  static const LeastRequest policy;
  return policy;
}

}  // namespace sockmesh
