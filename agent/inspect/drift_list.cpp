// SPDX-License-Identifier: Apache-2.0
#include "inspect/drift_list.h"

#include <chrono>
#include <map>

#include "lb/abi_names.h"
#include "model/ejection.h"

namespace sockmesh {
namespace {

std::string milliseconds(Nanos time) {
  return std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(time).count()) + "ms";
}

std::string ruleText(const ConsecutiveRule& rule) {
  if (rule.threshold == 0) return "none";
  return std::string(detectorName(rule.detector)) + " " + std::to_string(rule.threshold) + " at " +
         std::to_string(rule.enforcingPercent) + "%";
}

std::string addressText(const std::optional<SocketAddress>& address) {
  return address ? address->toString() : "none";
}

void compareLimits(const LbCluster& wanted, const LbCluster& found, DriftList& list) {
  list.compare("connectTimeout", milliseconds(wanted.connectTimeout),
               milliseconds(found.connectTimeout));
  const EjectionRules& a = wanted.ejection;
  const EjectionRules& b = found.ejection;
  for (std::size_t i = 0; i < a.consecutive.size(); ++i) {
    list.compare("ejection.consecutive[" + std::to_string(i) + "]", ruleText(a.consecutive.at(i)),
                 ruleText(b.consecutive.at(i)));
  }
  list.compare("ejection.limit", a.limit, b.limit);
  list.compare("ejection.baseTime", milliseconds(a.base), milliseconds(b.base));
  list.compare("ejection.maxTime", milliseconds(a.max), milliseconds(b.max));
  list.compare("ejection.maxJitter", milliseconds(a.jitter), milliseconds(b.jitter));
}

void compareEndpoints(const LbEndpoint& wanted, const LbEndpoint& found, DriftList& list) {
  list.compare("weight", wanted.weight, found.weight);
  list.compare("priority", wanted.priority, found.priority);
  list.compare("health", std::string(edsHealthName(wanted.health)),
               std::string(edsHealthName(found.health)));
  list.compare("locality", wanted.locality->toString(), found.locality->toString());
  list.compare("otherAddress", addressText(wanted.otherAddress), addressText(found.otherAddress));
}

}  // namespace

std::string driftName(const VipKey& key) {
  return key.vip.toString() + "/" +
         std::string(protocolName(static_cast<std::uint32_t>(key.protocol)));
}

void compareClusters(const LbCluster& wanted, const LbCluster& found, DriftList& list) {
  list.about("Cluster", wanted.name);
  compareLimits(wanted, found, list);
  std::map<SocketAddress, LbEndpoint> there;
  for (const LbEndpoint& endpoint : found.endpoints) there.emplace(endpoint.address, endpoint);
  std::map<SocketAddress, LbEndpoint> wantedOnes;
  for (const LbEndpoint& endpoint : wanted.endpoints) {
    wantedOnes.emplace(endpoint.address, endpoint);
  }
  for (const auto& [address, endpoint] : wantedOnes) {
    list.about("Endpoint", *wanted.name + " " + address.toString());
    const auto other = there.find(address);
    other == there.end() ? list.missing() : compareEndpoints(endpoint, other->second, list);
  }
  for (const auto& [address, endpoint] : there) {
    if (wantedOnes.contains(address)) continue;
    list.about("Endpoint", *wanted.name + " " + address.toString());
    list.unexpected();
  }
}

}  // namespace sockmesh
