// SPDX-License-Identifier: Apache-2.0
#include "lb/policy/weight_groups.h"

namespace sockmesh {

std::vector<double> weightsOf(const HostList& hosts) {
  std::vector<double> weights;
  weights.reserve(hosts.size());
  for (const Host* host : hosts) weights.push_back(host->weight);
  return weights;
}

std::vector<HostPool> hostPools(const PolicyHosts& hosts) {
  return hostPools(hosts.set, hosts.loads, hosts.rules);
}

void appendParts(const GroupContext& context, const HostPool& source, const PartMaker& make,
                 std::vector<SharedGroup>& groups) {
  for (const HostPoolPart& part : source.parts) {
    groups.push_back(
        {.share = source.load / 100.0 * part.share,
         .group = part.hosts.empty() ? groupWithoutHost(context) : make(source, part)});
  }
}

}  // namespace sockmesh
