// SPDX-License-Identifier: Apache-2.0
#include "lb/service_summary.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "lb/abi_names.h"
#include "lb/policy/policy.h"
#include "lb/share.h"

namespace sockmesh {
namespace {

bool balances(sm_policy policy) {
  return policy != SM_POLICY_LEAVE_ALONE && policy != SM_POLICY_REFUSE;
}

ServiceState stateOf(bool balanced, bool refused, bool leftAlone) {
  if (balanced + refused + leftAlone > 1) return ServiceState::kMixed;
  if (refused) return ServiceState::kRefused;
  return leftAlone ? ServiceState::kLeftAlone : ServiceState::kBalanced;
}

void sortClusters(const std::map<std::string, double>& shares, std::vector<ClusterSplit>& out) {
  for (const auto& [cluster, share] : shares) out.push_back({cluster, share * 100});
  std::stable_sort(out.begin(), out.end(), [](const ClusterSplit& a, const ClusterSplit& b) {
    return a.percent > b.percent + 1e-6;
  });
}

// The percentage of connections that are refused because no endpoint has an address of the family.
double unreachedPercent(const LbService& service) {
  const std::vector<double> shares = groupShares(service);
  double refused = 0;
  for (std::size_t i = 0; i < service.groups.size(); ++i) {
    if (service.groups[i]->reason == SM_REASON_NO_REACHABLE) refused += shares[i];
  }
  return refused * 100;
}

std::vector<Unreached> unreachedOf(const LbService& service) {
  std::vector<Unreached> out;
  const auto add = [&out](const std::string& sockets,
                          const std::shared_ptr<const LbService>& only) {
    const double percent = only ? unreachedPercent(*only) : 0;
    if (percent > 0) out.push_back({sockets, percent});
  };
  add("IPv4", service.ipv4Only);
  add("IPv6-only", service.ipv6Only);
  return out;
}

}  // namespace

std::string Unreached::text() const {
  constexpr double kAll = 99.9999;
  if (percent > kAll) return "no endpoint for " + sockets + " sockets";
  return "no endpoint for " + std::to_string(std::lround(percent)) + "% of the connections of " +
         sockets + " sockets";
}

std::string serviceStateName(ServiceState state) {
  switch (state) {
    case ServiceState::kBalanced:
      return "Balanced";
    case ServiceState::kRefused:
      return "Refused";
    case ServiceState::kLeftAlone:
      return "LeftAlone";
    case ServiceState::kMixed:
      break;
  }
  return "Mixed";
}

ServiceSummary summarize(const LbService& service) {
  const std::vector<double> shares = groupShares(service);
  ServiceSummary out;
  std::map<std::string, double> clusters;
  std::set<SocketAddress> hosts;
  std::set<sm_reason> reasons;
  bool balanced = false, refused = false, leftAlone = false;
  for (std::size_t i = 0; i < service.groups.size(); ++i) {
    const LbGroup& group = *service.groups[i];
    if (shares[i] <= 0 || policyOf(group.policy).leadsToGroups()) continue;
    if (!group.cluster.empty()) clusters[group.cluster] += shares[i];
    hosts.insert(group.hosts.begin(), group.hosts.end());
    refused |= group.policy == SM_POLICY_REFUSE;
    leftAlone |= group.policy == SM_POLICY_LEAVE_ALONE;
    if (!balances(group.policy)) {
      reasons.insert(group.reason);
      continue;
    }
    balanced = true;
    const std::string policy(policyName(group.policy));
    if (std::find(out.policies.begin(), out.policies.end(), policy) == out.policies.end()) {
      out.policies.push_back(policy);
    }
  }
  out.state = stateOf(balanced, refused, leftAlone);
  out.reasons.assign(reasons.begin(), reasons.end());
  out.hosts = static_cast<std::uint32_t>(hosts.size());
  out.unreached = unreachedOf(service);
  sortClusters(clusters, out.clusters);
  return out;
}

}  // namespace sockmesh
