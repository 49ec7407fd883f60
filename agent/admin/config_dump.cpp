// SPDX-License-Identifier: Apache-2.0
#include "admin/json_views.h"

namespace sockmesh {
namespace {

double toSeconds(Nanos time) {
  return std::chrono::duration<double>(time).count();
}

const char* discoveryName(DiscoveryType type) {
  switch (type) {
    case DiscoveryType::kStatic:
      return "STATIC";
    case DiscoveryType::kStrictDns:
      return "STRICT_DNS";
    case DiscoveryType::kLogicalDns:
      return "LOGICAL_DNS";
    case DiscoveryType::kEds:
      return "EDS";
    case DiscoveryType::kOriginalDst:
      return "ORIGINAL_DST";
  }
  return "unknown";
}

AdminJson metadataJson(const MetadataValue& value);

AdminJson structJson(const MetadataStruct& fields) {
  AdminJson json = AdminJson::object();
  for (const auto& [key, value] : fields) json[key] = metadataJson(value);
  return json;
}

AdminJson metadataJson(const MetadataValue& value) {
  if (const auto* flag = std::get_if<bool>(&value.value)) return *flag;
  if (const auto* number = std::get_if<double>(&value.value)) return *number;
  if (const auto* text = std::get_if<std::string>(&value.value)) return *text;
  if (const auto* fields = std::get_if<MetadataValue::Struct>(&value.value)) {
    return structJson(*fields);
  }
  const auto* list = std::get_if<MetadataValue::List>(&value.value);
  if (list == nullptr) return nullptr;
  AdminJson json = AdminJson::array();
  for (const MetadataValue& item : *list) json.push_back(metadataJson(item));
  return json;
}

AdminJson outlierJson(const OutlierDetection& outlier) {
  return {
      {"consecutive5xx", outlier.consecutive5xx},
      {"intervalSeconds", toSeconds(outlier.interval)},
      {"baseEjectionTimeSeconds", toSeconds(outlier.baseEjectionTime)},
      {"maxEjectionTimeSeconds", toSeconds(outlier.maxEjectionTime)},
      {"maxEjectionTimeJitterSeconds", toSeconds(outlier.maxEjectionTimeJitter)},
      {"maxEjectionPercent", outlier.maxEjectionPercent},
      {"alwaysEjectOneHost", outlier.alwaysEjectOneHost},
      {"enforcingConsecutive5xx", outlier.enforcingConsecutive5xx},
      {"consecutiveGatewayFailure", outlier.consecutiveGatewayFailure},
      {"enforcingConsecutiveGatewayFailure", outlier.enforcingConsecutiveGatewayFailure},
      {"splitExternalLocalOriginErrors", outlier.splitExternalLocalOriginErrors},
      {"consecutiveLocalOriginFailure", outlier.consecutiveLocalOriginFailure},
      {"enforcingConsecutiveLocalOriginFailure", outlier.enforcingConsecutiveLocalOriginFailure},
      {"enforcingSuccessRate", outlier.enforcingSuccessRate},
      {"enforcingLocalOriginSuccessRate", outlier.enforcingLocalOriginSuccessRate},
      {"successRateMinimumHosts", outlier.successRateMinimumHosts},
      {"successRateRequestVolume", outlier.successRateRequestVolume},
      {"successRateStdevFactor", outlier.successRateStdevFactor},
      {"failurePercentageThreshold", outlier.failurePercentageThreshold},
      {"enforcingFailurePercentage", outlier.enforcingFailurePercentage},
      {"enforcingFailurePercentageLocalOrigin", outlier.enforcingFailurePercentageLocalOrigin},
      {"failurePercentageMinimumHosts", outlier.failurePercentageMinimumHosts},
      {"failurePercentageRequestVolume", outlier.failurePercentageRequestVolume}};
}

AdminJson balancingJson(const LoadBalancing& lb) {
  AdminJson needsLayer7 = AdminJson::array();
  for (const LayerSevenHash& hash : lb.hashNeedsLayerSeven) needsLayer7.push_back(hash.what);
  return {{"policy", policyName(lb.policy)},
          {"localityWeighted", lb.localityMode == LocalityMode::kLocalityWeighted},
          {"zoneAware", lb.localityMode == LocalityMode::kZoneAware},
          {"slowStartWindowSeconds", toSeconds(lb.slowStart.window)},
          {"choiceCount", lb.choiceCount},
          {"maglevTableSize", lb.maglevTableSize},
          {"minimumRingSize", lb.minimumRingSize},
          {"maximumRingSize", lb.maximumRingSize},
          {"hashBalanceFactor", lb.hashBalanceFactor},
          {"hashNeedsLayerSeven", needsLayer7},
          {"healthyPanicThresholdPercent", lb.healthyPanicThresholdPercent},
          {"subsets", lb.subset.has_value()}};
}

AdminJson localityJson(const LocalityEndpoints& locality) {
  AdminJson endpoints = AdminJson::array();
  for (const Endpoint& endpoint : locality.endpoints) {
    AdminJson json = {{"address", endpoint.address.toString()},
                      {"weight", endpoint.weight},
                      {"health", edsHealthName(endpoint.health)}};
    if (!endpoint.hostname.empty()) json["hostname"] = endpoint.hostname;
    if (!endpoint.lbMetadata.empty()) json["metadata"] = structJson(endpoint.lbMetadata);
    endpoints.push_back(std::move(json));
  }
  return {{"region", locality.locality->region},
          {"zone", locality.locality->zone},
          {"subZone", locality.locality->subZone},
          {"priority", locality.priority},
          {"weight", locality.weight},
          {"endpoints", endpoints}};
}

AdminJson assignmentJson(const LoadAssignment& assignment) {
  AdminJson localities = AdminJson::array();
  for (const LocalityEndpoints& locality : assignment.localities) {
    localities.push_back(localityJson(locality));
  }
  return {{"name", assignment.clusterName},
          {"overprovisioningFactor", assignment.overprovisioningFactor},
          {"localities", localities}};
}

AdminJson listenerJson(const Listener& listener) {
  AdminJson addresses = AdminJson::array();
  for (const Vip& address : listener.addresses) addresses.push_back(address.toString());
  AdminJson clusters = AdminJson::array();
  for (const WeightedCluster& leg : listener.route.clusters) {
    AdminJson json = {{"name", leg.name}, {"weight", leg.weight}};
    if (!leg.metadataMatch.empty()) json["metadataMatch"] = structJson(leg.metadataMatch);
    clusters.push_back(std::move(json));
  }
  return {{"name", listener.name},
          {"addresses", addresses},
          {"protocol", listener.protocol == Protocol::kTcp ? "TCP" : "UDP"},
          {"clusters", clusters},
          {"hashSourceIp", listener.route.hashSourceIp},
          {"notHonoured", listener.notHonoured},
          {"needsLayer7", listener.needsLayer7}};
}

template <typename T, typename ToJson>
AdminJson listOf(const Snapshot::ByName<T>& resources, ToJson toJson) {
  AdminJson json = AdminJson::array();
  for (const auto& [name, resource] : resources) json.push_back(toJson(*resource));
  return json;
}

AdminJson heldJson(const std::vector<HeldVersion>& held) {
  AdminJson json = AdminJson::array();
  for (const HeldVersion& one : held) {
    json.push_back({{"type", one.type}, {"name", one.name}, {"reason", one.why}});
  }
  return json;
}

}  // namespace

AdminJson clusterJson(const Cluster& cluster) {
  AdminJson json = {
      {"name", cluster.name},
      {"type", discoveryName(cluster.type)},
      {"edsName", cluster.edsName},
      {"connectTimeoutSeconds", toSeconds(cluster.connectTimeout)},
      {"loadBalancing", balancingJson(cluster.lb)},
      {"outlierDetection",
       cluster.outlierDetection ? outlierJson(*cluster.outlierDetection) : AdminJson(nullptr)},
      {"maxConnections", cluster.circuitBreakers.maxConnections},
      {"leftAlone", leftAloneName(cluster.leaveAlone)},
      {"automaticTls", cluster.automaticTls},
      {"notHonoured", cluster.notHonoured}};
  if (cluster.inlineAssignment) json["assignment"] = assignmentJson(*cluster.inlineAssignment);
  return json;
}

AdminJson configDumpJson(const Snapshot* snapshot, const std::vector<LeftAlone>& conflicts) {
  static const Snapshot kNothing;
  const Snapshot& shown = snapshot == nullptr ? kNothing : *snapshot;
  return {{"schemaVersion", kAdminSchemaVersion},
          {"kind", "ConfigDump"},
          {"complete", shown.complete},
          {"versions", shown.versions},
          {"listeners", listOf<Listener>(shown.listeners, listenerJson)},
          {"clusters", listOf<Cluster>(shown.clusters, clusterJson)},
          {"assignments", listOf<LoadAssignment>(shown.assignments, assignmentJson)},
          {"leftAlone", leftAloneJson(shown.leftAloneList())},
          {"held", heldJson(shown.held)},
          {"conflicts", leftAloneJson(conflicts)}};
}

}  // namespace sockmesh
