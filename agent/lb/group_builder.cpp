// SPDX-License-Identifier: Apache-2.0
#include "lb/group_builder.h"

#include <algorithm>
#include <utility>

namespace sockmesh {

LbGroup groupOver(const GroupContext& context, const HostPool& source, const HostList& hosts) {
  LbGroup group;
  group.cluster = context.cluster.name;
  group.priority = source.priority;
  if (source.panic) group.flags |= SM_GROUP_PANIC;
  if (context.noPanic) group.flags |= SM_GROUP_NO_PANIC;
  if (source.degraded) group.flags |= SM_GROUP_DEGRADED;
  group.hosts.reserve(hosts.size());
  for (const Host* host : hosts) group.hosts.push_back(host->endpoint->address);
  const auto hasOther = [](const Host* host) { return host->endpoint->otherAddress.has_value(); };
  if (std::any_of(hosts.begin(), hosts.end(), hasOther)) {
    for (const Host* host : hosts) group.otherAddresses.push_back(host->endpoint->otherAddress);
  }
  const bool oneLocality = std::all_of(hosts.begin(), hosts.end(), [&](const Host* host) {
    return *host->locality == *hosts.front()->locality;
  });
  if (oneLocality && !hosts.empty()) group.locality = *hosts.front()->locality;
  return group;
}

std::shared_ptr<const LbGroup> finished(LbGroup group) {
  return std::make_shared<const LbGroup>(std::move(group));
}

std::shared_ptr<const LbGroup> fixedOutcomeGroup(sm_policy policy, sm_reason reason,
                                                 const Name& cluster) {
  LbGroup group;
  group.policy = policy;
  group.reason = reason;
  group.cluster = cluster;
  return finished(std::move(group));
}

std::shared_ptr<const LbGroup> groupWithoutHost(const GroupContext& context) {
  return fixedOutcomeGroup(SM_POLICY_REFUSE, context.reasonNoHost, context.cluster.name);
}

}  // namespace sockmesh
