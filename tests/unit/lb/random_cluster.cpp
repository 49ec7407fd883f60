// SPDX-License-Identifier: Apache-2.0
#include "unit/lb/random_cluster.h"

#include "unit/lb/build.h"

namespace sockmesh::test {
namespace {

Locality zone(std::uint32_t number) {
  return {std::string("r"), std::string(1, static_cast<char>('a' + number)), std::string()};
}

}  // namespace

EdsHealth RandomClusters::health(std::uint32_t illness) {
  if (!chance(illness)) return chance(50) ? EdsHealth::kUnknown : EdsHealth::kHealthy;
  const EdsHealth ill[] = {EdsHealth::kUnhealthy, EdsHealth::kDraining, EdsHealth::kTimeout,
                           EdsHealth::kDegraded, EdsHealth::kDegraded};
  return ill[random_() % std::size(ill)];
}

ZoneAware RandomClusters::zoneAware() {
  ZoneAware config;
  if (chance(20)) config.routingEnabledPercent = 25.0 * upTo(4);
  if (chance(60)) config.minClusterSize = 1 + upTo(5);
  config.failTrafficOnPanic = chance(20);
  config.basisIsWeight = chance(30);
  config.forceLocalityDirectRouting = chance(10);
  if (chance(15)) config.forceLocalZoneMinSize = 1 + upTo(3);
  return config;
}

LoadBalancing RandomClusters::policy() {
  LoadBalancing lb;
  const LbPolicy policies[] = {LbPolicy::kRoundRobin, LbPolicy::kLeastRequest, LbPolicy::kRandom,
                               LbPolicy::kRingHash, LbPolicy::kMaglev};
  const LocalityMode modes[] = {LocalityMode::kFlat, LocalityMode::kLocalityWeighted,
                                LocalityMode::kZoneAware};
  lb.policy = policies[random_() % std::size(policies)];
  lb.localityMode = modes[random_() % std::size(modes)];
  lb.zoneAware = zoneAware();
  lb.minimumRingSize = 1 + upTo(300);
  if (chance(20)) lb.maximumRingSize = lb.minimumRingSize + upTo(50);
  if (chance(30)) lb.hashFunction = HashFunction::kMurmurHash2;
  lb.maglevTableSize = chance(50) ? 251 : 1009;
  if (chance(30)) lb.healthyPanicThresholdPercent = upTo(100);
  if (chance(10)) lb.healthyPanicThresholdPercent = 0;
  return lb;
}

LoadAssignment RandomClusters::endpoints(int firstHost) {
  LoadAssignment made;
  if (chance(25)) made.overprovisioningFactor = 50 + upTo(200);
  made.weightedPriorityHealth = chance(25);
  const std::uint32_t illness = chance(30) ? 0 : upTo(100);
  const std::uint32_t heaviest = chance(40) ? 1 : chance(50) ? 9 : 5000;
  const std::uint32_t groups = upTo(6);
  const std::uint32_t priorities = upTo(3);
  int next = firstHost;
  for (std::uint32_t g = 0; g < groups; ++g) {
    LocalityEndpoints group;
    group.locality = zone(upTo(3));
    group.priority = upTo(priorities);
    group.weight = chance(15) ? 0 : 1 + upTo(chance(50) ? 9 : 300);
    const std::uint32_t hosts = upTo(7);
    for (std::uint32_t i = 0; i < hosts; ++i) {
      group.endpoints.push_back(endpoint(next++, 1 + upTo(heaviest - 1), health(illness)));
    }
    made.localities.push_back(group);
  }
  return made;
}

void RandomClusters::addSubset(ModelLeg& leg) {
  SubsetConfig config;
  config.selectors = {{{"version"}, SubsetSelector::Fallback::kNotDefined, {}}};
  const SubsetConfig::Fallback fallbacks[] = {SubsetConfig::Fallback::kNoFallback,
                                              SubsetConfig::Fallback::kAnyEndpoint,
                                              SubsetConfig::Fallback::kDefaultSubset};
  config.fallback = fallbacks[random_() % std::size(fallbacks)];
  config.defaultSubset["version"].value = std::string("v0");
  config.localityWeightAware = chance(60);
  config.scaleLocalityWeight = chance(50);
  for (auto& group : leg.assignment.localities) {
    for (auto& one : group.endpoints) {
      if (chance(80)) one.lbMetadata.edit()["version"].value = "v" + std::to_string(upTo(2));
    }
  }
  if (chance(90)) leg.criteria["version"].value = "v" + std::to_string(upTo(3));
  leg.cluster.lb.subset = config;
}

ModelLeg RandomClusters::leg(const std::string& name, int firstHost) {
  ModelLeg made;
  made.cluster = cluster(name);
  made.cluster.lb = policy();
  made.assignment = endpoints(firstHost);
  made.weight = 1 + upTo(99);
  if (chance(20)) addSubset(made);
  if (!chance(30)) return made;
  for (const auto& group : made.assignment.localities) {
    for (const auto& one : group.endpoints) {
      if (chance(20)) made.ejected.insert(one.address);
    }
  }
  return made;
}

std::vector<ModelLeg> RandomClusters::legs() {
  std::vector<ModelLeg> made;
  const std::uint32_t count = chance(60) ? 1 : 2 + upTo(2);
  for (std::uint32_t i = 0; i < count; ++i) {
    made.push_back(leg("c" + std::to_string(i), static_cast<int>(100 * i + 1)));
  }
  return made;
}

ModelWorld RandomClusters::world() {
  ModelWorld made;
  made.nodeLocality = zone(upTo(3));
  if (chance(10)) return made;
  made.callers = endpoints(5000);
  if (chance(70)) {
    for (auto& group : made.callers.localities) group.priority = 0;
  }
  return made;
}

}  // namespace sockmesh::test
