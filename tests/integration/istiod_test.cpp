// SPDX-License-Identifier: Apache-2.0
// What a real istiod sent, served as it is over a real ADS stream: what the kernel then holds for
// every VIP is compared with an expectation that is computed from the Kubernetes and Istio objects
// alone.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>

#include "lb/share.h"
#include "support/dns_server.h"
#include "support/istiod_expectation.h"
#include "support/mesh.h"

namespace sockmesh::test {
namespace {

const std::string kSamples = "tests/data/istiod/";

using Shares = std::map<std::pair<std::string, SocketAddress>, double>;

// Healthy endpoints of the first priority that has any; what istiod's failover leads to while its
// first priority is healthy enough.
std::vector<ExpectedEndpoint> eligible(const ExpectedCluster& cluster) {
  std::uint32_t first = UINT32_MAX;
  for (const auto& endpoint : cluster.endpoints) {
    if (endpoint.healthy) first = std::min(first, endpoint.priority);
  }
  std::vector<ExpectedEndpoint> out;
  for (const auto& endpoint : cluster.endpoints) {
    if (endpoint.healthy && endpoint.priority == first) out.push_back(endpoint);
  }
  return out;
}

// Share of each endpoint within its cluster, by the words of Envoy's documentation.
std::map<SocketAddress, double> sharesWithin(const ExpectedCluster& cluster) {
  const auto hosts = eligible(cluster);
  std::map<Locality, double> weightOf;      // of a locality's eligible endpoints
  std::map<Locality, double> localityLoad;  // by configured weight
  for (const auto& host : hosts) {
    weightOf[host.locality] += host.weight;
    localityLoad[host.locality] = host.localityWeight;
  }
  const bool byLocality = cluster.localityMode == LocalityMode::kLocalityWeighted;
  double all = 0;
  for (const auto& [locality, weight] : byLocality ? localityLoad : weightOf) all += weight;
  std::map<SocketAddress, double> shares;
  for (const auto& host : hosts) {
    if (cluster.policy == LbPolicy::kRandom) {
      shares[host.address] = 1.0 / static_cast<double>(hosts.size());
    } else if (byLocality) {
      shares[host.address] =
          localityLoad[host.locality] / all * host.weight / weightOf[host.locality];
    } else {
      shares[host.address] = host.weight / all;
    }
  }
  return shares;
}

// A ring of 1,024 points gives each host its share only about.
bool hasRing(const ExpectedVip& vip) {
  return std::ranges::any_of(vip.clusters, [](const ExpectedCluster& cluster) {
    return cluster.policy == LbPolicy::kRingHash;
  });
}

Shares expectedShares(const ExpectedVip& vip) {
  double legs = 0;
  for (const auto& cluster : vip.clusters) legs += cluster.weight;
  Shares shares;
  for (const auto& cluster : vip.clusters) {
    if (cluster.leaveAlone != LeftAloneReason::kNone) continue;
    for (const auto& [address, share] : sharesWithin(cluster)) {
      shares[{cluster.name, address}] = share * cluster.weight / legs;
    }
  }
  return shares;
}

// Gives each name that a cluster has as a target an address of its own, and the expectation its
// endpoint.
void resolve(ExpectedVips& vips, DnsServer& server) {
  std::map<std::string, std::string> addresses;
  for (auto& [vip, expected] : vips) {
    for (ExpectedCluster& cluster : expected.clusters) {
      for (const ExpectedTarget& target : cluster.targets) {
        const auto next = "10.55.0." + std::to_string(addresses.size() + 1);
        const std::string ip = addresses.try_emplace(target.name, next).first->second;
        server.set(target.name, {ip});
        ExpectedEndpoint& endpoint = cluster.endpoints.emplace_back();
        endpoint.address = {IpAddress::parse(ip).value(), target.port};
        endpoint.weight = target.weight;
      }
    }
  }
  EXPECT_FALSE(addresses.empty()) << "the samples have a DNS cluster";
}

// Captured files and the protocol in which they are served. Both have to lead to the same tables.
struct Captured {
  std::string name;
  std::vector<std::string> files;
  std::string protocol;
};

class Istiod : public ::testing::TestWithParam<Captured> {};

INSTANTIATE_TEST_SUITE_P(
    Samples, Istiod,
    ::testing::Values(Captured{"StateOfTheWorld",
                               {"01-sotw-CDS.pb", "02-sotw-EDS.pb", "03-sotw-LDS.pb",
                                "04-sotw-RDS.pb", "05-sotw-NDS.pb"},
                               "SOTW"},
                      Captured{"Delta",
                               {"01-delta-CDS.pb", "02-delta-EDS.pb", "03-delta-LDS.pb",
                                "04-delta-RDS.pb", "05-delta-NDS.pb"},
                               "DELTA"}),
    [](const auto& captured) { return captured.param.name; });

TEST_P(Istiod, EveryVipOfTheSamplesIsInTheKernelWithItsEndpointsAndShares) {
  auto sandbox = Sandbox::create();
  ASSERT_TRUE(sandbox) << sandbox.error().message();
  Mesh mesh(**sandbox);
  for (const std::string& file : GetParam().files) {
    std::filesystem::copy(kSamples + file, mesh.folder() + "/" + file);
  }
  ExpectedVips expected = expectVips(
      readIstiodInputs({kSamples + "input-k8s.yaml", kSamples + "input-istio.yaml"}, "agent"));
  DnsServer server;
  resolve(expected, server);
  mesh.startControlPlane();
  mesh.startAgent(mesh.agentConfig("ads: {protocol: " + GetParam().protocol +
                                   "}\ndns: {servers: ['" + server.address().toString() + "']}"));
  ASSERT_TRUE(mesh.ready()) << mesh.agent().log() << mesh.controlPlane().log();

  const auto vips = static_cast<std::size_t>(std::ranges::count_if(
      expected, [](const auto& entry) { return !entry.second.clusters.empty(); }));
  ASSERT_TRUE(mesh.awaitImage([&](const KernelImage& image) {
    // Until the endpoints have arrived, clusters are left alone as unknown.
    for (const auto& [key, service] : image.services) {
      for (const auto& group : service.service->groups) {
        if (group->reason == SM_REASON_ENDPOINTS_UNKNOWN) return false;
      }
    }
    // The routes and the name table come last.
    return image.services.size() >= vips;
  }));
  const KernelImage image = mesh.image();
  std::size_t checked = 0;
  for (const auto& [address, vip] : expected) {
    const auto found = image.services.find({address, Protocol::kTcp});
    if (vip.clusters.empty()) {
      EXPECT_EQ(found, image.services.end()) << address.toString() << ": " << vip.leftAlone;
      continue;
    }
    ASSERT_NE(found, image.services.end()) << address.toString();
    const ServiceShares held = shareOf(*found->second.service);
    const Shares wanted = expectedShares(vip);
    const double tolerance = hasRing(vip) ? 0.02 : 0.001;
    EXPECT_EQ(held.endpoints.size(), wanted.size()) << address.toString();
    for (const auto& [endpoint, share] : wanted) {
      const auto have = held.endpoints.find(endpoint);
      ASSERT_NE(have, held.endpoints.end())
          << address.toString() << " " << endpoint.first << " " << endpoint.second.toString();
      EXPECT_NEAR(have->second, share, tolerance)
          << address.toString() << " " << endpoint.first << " " << endpoint.second.toString();
      ++checked;
    }
  }
  EXPECT_GT(checked, 10u);
  // And nothing that was not expected.
  for (const auto& [key, service] : image.services) {
    EXPECT_TRUE(expected.contains(key.vip)) << key.vip.toString();
  }
  std::printf("%zu VIPs, %zu endpoints' shares checked\n", image.services.size(), checked);
}

}  // namespace
}  // namespace sockmesh::test
