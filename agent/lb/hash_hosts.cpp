// SPDX-License-Identifier: Apache-2.0
#include "lb/hash_hosts.h"

namespace sockmesh {
namespace {

void appendNormalised(const HostList& hosts, double share, bool useHostname, HashHosts& result) {
  double sum = 0;
  for (const Host* host : hosts) sum += host->endpoint->weight;
  for (const Host* host : hosts) {
    result.hosts.push_back(host);
    result.entries.push_back(
        {hashKey(*host->endpoint, useHostname), share * host->endpoint->weight / sum});
  }
}

}  // namespace

std::string hashKey(const Endpoint& endpoint, bool useHostname) {
  const auto found = endpoint.lbMetadata->find("hash_key");
  if (found != endpoint.lbMetadata->end()) {
    const auto* text = std::get_if<std::string>(&found->second.value);
    if (text != nullptr && !text->empty()) return *text;
  }
  if (useHostname && !endpoint.hostname.empty()) return endpoint.hostname;
  return endpoint.address.toString();
}

HashHosts hashHosts(const HostSet& set, bool panic, bool localityWeighted, bool useHostname) {
  const auto eligible = [&](const HostList& hosts) {
    return panic ? hosts : withHealth(hosts, HostHealth::kHealthy);
  };
  HashHosts result;
  if (!localityWeighted) {
    appendNormalised(eligible(allHosts(set)), 1, useHostname, result);
    return result;
  }
  double sum = 0;
  for (const LocalityHosts& locality : set.localities) sum += locality.weight;
  for (const LocalityHosts& locality : set.localities) {
    if (locality.weight == 0) continue;
    appendNormalised(eligible(locality.hosts), locality.weight / sum, useHostname, result);
  }
  return result;
}

}  // namespace sockmesh
