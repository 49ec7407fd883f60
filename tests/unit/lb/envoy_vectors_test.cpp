// SPDX-License-Identifier: Apache-2.0
// Clusters that a real Envoy ran with: compares Envoy's shares and picks with those of our tables.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include <nlohmann/json.hpp>

#include "lb/cell_table.h"
#include "lb/hash.h"
#include "lb/share.h"
#include "unit/lb/build.h"

namespace sockmesh {
namespace {

using nlohmann::json;
using namespace test;

const std::filesystem::path kData = "tests/data/envoy";

json load(const std::filesystem::path& path) {
  std::ifstream file(path);
  EXPECT_TRUE(file.good()) << path;
  return json::parse(file);
}

std::vector<std::string> casesOf(const std::string& mode) {
  std::vector<std::string> names;
  for (const auto& file : std::filesystem::directory_iterator(kData / "cases")) {
    if (load(file.path()).at("mode") == mode) names.push_back(file.path().stem());
  }
  std::sort(names.begin(), names.end());
  return names;
}

// The part of the protos' JSON that the cases use.
LbPolicy policyOf(const std::string& name) {
  if (name == "LEAST_REQUEST") return LbPolicy::kLeastRequest;
  if (name == "RING_HASH") return LbPolicy::kRingHash;
  if (name == "RANDOM") return LbPolicy::kRandom;
  if (name == "MAGLEV") return LbPolicy::kMaglev;
  return LbPolicy::kRoundRobin;
}

Cluster clusterOf(const json& given) {
  Cluster made = cluster(given.at("name"), policyOf(given.value("lb_policy", "ROUND_ROBIN")));
  const json common = given.value("common_lb_config", json::object());
  if (common.contains("locality_weighted_lb_config")) {
    made.lb.localityMode = LocalityMode::kLocalityWeighted;
  }
  if (common.contains("healthy_panic_threshold")) {
    made.lb.healthyPanicThresholdPercent = common["healthy_panic_threshold"].value("value", 0.0);
  }
  const json ringConfig = given.value("ring_hash_lb_config", json::object());
  made.lb.minimumRingSize = ringConfig.value("minimum_ring_size", made.lb.minimumRingSize);
  return made;
}

Endpoint endpointOf(const json& given) {
  const json& address = given.at("endpoint").at("address").at("socket_address");
  Endpoint made;
  made.address.ip = IpAddress::parse(address.at("address").get<std::string>()).value();
  made.address.port = address.at("port_value");
  made.weight = given.value("load_balancing_weight", 1U);
  const std::string health = given.value("health_status", "UNKNOWN");
  if (health == "UNHEALTHY") made.health = EdsHealth::kUnhealthy;
  if (health == "DRAINING") made.health = EdsHealth::kDraining;
  if (health == "DEGRADED") made.health = EdsHealth::kDegraded;
  return made;
}

LoadAssignment assignmentOf(const json& given) {
  LoadAssignment made;
  made.overprovisioningFactor =
      given.value("policy", json::object()).value("overprovisioning_factor", 140U);
  for (const json& group : given.value("endpoints", json::array())) {
    LocalityEndpoints one;
    const json name = group.value("locality", json::object());
    one.locality =
        Locality{name.value("region", ""), name.value("zone", ""), name.value("sub_zone", "")};
    one.priority = group.value("priority", 0U);
    one.weight = group.value("load_balancing_weight", 0U);
    for (const json& host : group.at("lb_endpoints")) one.endpoints.push_back(endpointOf(host));
    made.localities.push_back(one);
  }
  return made;
}

std::shared_ptr<const LbService> serviceOfCase(const std::string& name) {
  const json given = load(kData / "cases" / (name + ".json"));
  SnapshotBuilder builder;
  builder.put(clusterOf(given.at("cluster")), assignmentOf(given.at("assignment")));
  for (const json& other : given.value("clusters", json::array())) {
    builder.put(clusterOf(other.at("cluster")), assignmentOf(other.at("assignment")));
  }
  std::vector<WeightedCluster> route;
  const json& listener = given.at("listener");
  if (listener.contains("weighted_clusters")) {
    for (const json& leg : listener["weighted_clusters"]["clusters"]) {
      route.push_back({leg.at("name"), leg.at("weight"), {}});
    }
  } else {
    route.push_back({given.at("cluster").at("name"), 1, {}});
  }
  builder.listen("l", {kVip}, route, listener.contains("hash_policy"));
  const auto tables = Compiler({}).compile(builder.snapshot(), {}, std::chrono::seconds(1));
  return tables->services.begin()->second;
}

std::map<std::string, double> byAddress(const ServiceShares& shares) {
  std::map<std::string, double> result;
  for (const auto& [endpoint, share] : shares.endpoints)
    result[endpoint.second.toString()] += share;
  if (shares.refused > 0) result["none"] = shares.refused;
  return result;
}

TEST(EnvoyVectors, SharesAreAsPredictedFromEnvoysRules) {
  const auto names = casesOf("distribution");
  EXPECT_GE(names.size(), 5U);
  for (const std::string& name : names) {
    const json given = load(kData / "cases" / (name + ".json"));
    // With connections held open, active connections count, and no table knows these.
    if (given.value("hold", false)) continue;
    const json expected = load(kData / "expected" / (name + ".json"));
    const auto shares = byAddress(shareOf(*serviceOfCase(name)));
    EXPECT_EQ(shares.size(), expected.at("predict").size()) << name;
    for (const auto& [address, share] : expected.at("predict").items()) {
      EXPECT_NEAR(shares.contains(address) ? shares.at(address) : 0, share.get<double>(), 2e-5)
          << name << " " << address;
    }
  }
}

TEST(EnvoyVectors, EveryHashedPickIsEnvoys) {
  const auto names = casesOf("exact");
  EXPECT_GE(names.size(), 2U);
  for (const std::string& name : names) {
    const auto service = serviceOfCase(name);
    EXPECT_NE(service->flags & SM_DESCRIPTOR_HASH_SOURCE, 0U);
    const json expected = load(kData / "expected" / (name + ".json"));
    EXPECT_EQ(expected.at("picks").size(), 1000U);
    for (const auto& [source, picked] : expected.at("picks").items()) {
      const SocketAddress* pick = pickByHash(*service, xxHash64(source));
      ASSERT_NE(pick, nullptr);
      ASSERT_EQ(pick->toString(), picked.get<std::string>()) << name << " from " << source;
    }
  }
}

// The least and the most picks of `host` in any `length` picks on end.
std::pair<int, int> window(const std::vector<std::string>& picks, const std::string& host,
                           std::size_t length) {
  int least = static_cast<int>(length);
  int most = 0;
  for (std::size_t i = 0; i + length <= picks.size(); ++i) {
    const auto from = picks.begin() + static_cast<std::ptrdiff_t>(i);
    const auto count =
        static_cast<int>(std::count(from, from + static_cast<std::ptrdiff_t>(length), host));
    least = std::min(least, count);
    most = std::max(most, count);
  }
  return {least, most};
}

// Envoy starts anywhere in the cycle and may order ties otherwise. The spread of picks is the same.
TEST(EnvoyVectors, RoundRobinSpreadsPicksAsEnvoyDoes) {
  const json expected = load(kData / "expected" / "rr-weights-7-2-1.json");
  const auto envoys = expected.at("sequence").get<std::vector<std::string>>();
  const auto service = serviceOfCase("rr-weights-7-2-1");
  const LbGroup& group = *service->groups[0];
  std::vector<std::string> ours;
  while (ours.size() < envoys.size()) {
    const auto next = static_cast<std::uint32_t>(ours.size() % group.table->size);
    ours.push_back(group.hosts[wordAt(*group.table, next)].toString());
  }
  for (const SocketAddress& host : group.hosts) {
    for (std::size_t length = 1; length <= 20; ++length) {
      const auto [least, most] = window(envoys, host.toString(), length);
      const auto [ourLeast, ourMost] = window(ours, host.toString(), length);
      EXPECT_NEAR(ourLeast, least, 1) << host.toString() << " in " << length;
      EXPECT_NEAR(ourMost, most, 1) << host.toString() << " in " << length;
    }
  }
}

}  // namespace
}  // namespace sockmesh
