// SPDX-License-Identifier: Apache-2.0
// A real istiod's answers, decoded, compared with what follows from istiod's input. Run from the
// repository's root.
#include <algorithm>
#include <fstream>
#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "decode/decode.h"
#include "decode/listener_parts.h"
#include "envoy/service/discovery/v3/discovery.pb.h"
#include "support/istiod_expectation.h"

namespace sockmesh {
namespace {

const std::string kFolder = "tests/data/istiod/";

using envoy::service::discovery::v3::DiscoveryResponse;
using testing::AnyOf;
using testing::HasSubstr;

DiscoveryResponse readResponse(const std::string& file) {
  DiscoveryResponse response;
  std::ifstream stream(kFolder + file, std::ios::binary);
  EXPECT_TRUE(stream.good() && response.ParseFromIstream(&stream)) << kFolder + file;
  EXPECT_GT(response.resources_size(), 0) << file;
  return response;
}

// Everything istiod sent, decoded; what cannot be decoded fails the test.
class IstiodSamples : public testing::Test {
 protected:
  void SetUp() override {
    forEach<envoy::config::cluster::v3::Cluster>("01-sotw-CDS.pb", [&](const auto& proto) {
      const auto decoded = decodeCluster(proto);
      ASSERT_TRUE(decoded.ok()) << proto.name() << ": " << decoded.error().message();
      clusters_[proto.name()] = *decoded;
    });
    forEach<envoy::config::endpoint::v3::ClusterLoadAssignment>(
        "02-sotw-EDS.pb", [&](const auto& proto) {
          const auto decoded = decodeAssignment(proto);
          ASSERT_TRUE(decoded.ok()) << proto.cluster_name() << ": " << decoded.error().message();
          assignments_[proto.cluster_name()] = *decoded;
        });
    forEach<istio::networking::nds::v1::NameTable>(
        "05-sotw-NDS.pb", [&](const auto& proto) { names_ = *decodeNameTable(proto); });
    forEach<envoy::config::route::v3::RouteConfiguration>("04-sotw-RDS.pb", [&](const auto& proto) {
      const auto decoded = decodeRouteConfig(proto);
      ASSERT_TRUE(decoded.ok()) << proto.name() << ": " << decoded.error().message();
      routes_[proto.name()] = *decoded;
    });
    forEach<envoy::config::listener::v3::Listener>("03-sotw-LDS.pb", [&](const auto& proto) {
      const auto decoded = decodeListener(proto);
      ASSERT_TRUE(decoded.ok()) << proto.name() << ": " << decoded.error().message();
      takeParts(**decoded);
    });
    expected_ = expectVips(
        readIstiodInputs({kFolder + "input-k8s.yaml", kFolder + "input-istio.yaml"}, "agent"));
  }

  template <typename Message, typename Visit>
  void forEach(const std::string& file, const Visit& visit) {
    const DiscoveryResponse response = readResponse(file);
    for (const auto& resource : response.resources()) {
      Message message;
      ASSERT_TRUE(resource.UnpackTo(&message)) << file << ": " << resource.type_url();
      visit(message);
    }
  }

  void takeParts(const DecodedListener& listener) {
    const auto lookup = [&](const std::string& name) {
      EXPECT_TRUE(routes_.contains(name)) << name;
      return routes_[name];
    };
    for (const ListenerPart& part : partsOf(listener, lookup, names_.get())) {
      if (part.vips == nullptr) {
        leftAlone_[part.name] = part.leftAlone->reason;
        continue;
      }
      for (const Vip& address : part.vips->addresses) {
        EXPECT_TRUE(vips_.emplace(address, part.vips).second) << address.toString();
      }
    }
  }

  // The endpoints of a cluster as the expectation has them.
  std::vector<ExpectedEndpoint> endpointsOf(const Cluster& cluster) const {
    std::vector<ExpectedEndpoint> endpoints;
    const auto assignment = assignments_.find(cluster.edsName);
    if (cluster.type != DiscoveryType::kEds || assignment == assignments_.end()) return endpoints;
    for (const LocalityEndpoints& group : assignment->second->localities) {
      for (const Endpoint& one : group.endpoints) {
        endpoints.push_back({one.address, one.weight,
                             one.health == EdsHealth::kUnknown || one.health == EdsHealth::kHealthy,
                             group.locality, group.priority, group.weight});
      }
    }
    std::sort(endpoints.begin(), endpoints.end());
    return endpoints;
  }

  static std::vector<ExpectedTarget> targetsOf(const Cluster& cluster) {
    std::vector<ExpectedTarget> targets;
    if (!cluster.dns) return targets;
    for (const DnsTarget& one : cluster.dns->targets) {
      targets.push_back({one.name, one.port, one.pattern.weight});
    }
    std::sort(targets.begin(), targets.end());
    return targets;
  }

  void expectCluster(const WeightedCluster& leg, const ExpectedCluster& expected) const {
    SCOPED_TRACE(expected.name);
    EXPECT_EQ(leg.name, expected.name);
    EXPECT_EQ(leg.weight, expected.weight);
    const auto found = clusters_.find(leg.name);
    ASSERT_NE(found, clusters_.end());
    const Cluster& cluster = *found->second;
    EXPECT_EQ(cluster.leaveAlone, expected.leaveAlone);
    EXPECT_EQ(cluster.lb.policy, expected.policy);
    EXPECT_EQ(cluster.lb.localityMode, expected.localityMode);
    EXPECT_EQ(cluster.lb.healthyPanicThresholdPercent, expected.panicThresholdPercent);
    EXPECT_EQ(cluster.circuitBreakers.maxConnections, expected.maxConnections);
    EXPECT_EQ(cluster.connectTimeout, expected.connectTimeout);
    EXPECT_EQ(cluster.outlierDetection.has_value(), expected.consecutive5xx.has_value());
    if (cluster.outlierDetection && expected.consecutive5xx) {
      EXPECT_EQ(cluster.outlierDetection->consecutive5xx, *expected.consecutive5xx);
    }
    EXPECT_EQ(endpointsOf(cluster), expected.endpoints);
    EXPECT_EQ(targetsOf(cluster), expected.targets);
  }

  std::map<std::string, std::shared_ptr<const Cluster>> clusters_;
  std::map<std::string, std::shared_ptr<const LoadAssignment>> assignments_;
  std::map<std::string, std::shared_ptr<const RouteConfig>> routes_;
  std::shared_ptr<const NameTable> names_;
  std::map<Vip, std::shared_ptr<const Listener>> vips_;
  std::map<std::string, std::string> leftAlone_;
  ExpectedVips expected_;
};

TEST_F(IstiodSamples, EveryVipLeadsWhereTheInputsSay) {
  std::size_t withClusters = 0;
  for (const auto& [address, vip] : expected_) {
    SCOPED_TRACE(address.toString());
    const auto found = vips_.find(address);
    if (!vip.leftAlone.empty()) {
      EXPECT_EQ(found, vips_.end()) << vip.leftAlone;
      continue;
    }
    ++withClusters;
    ASSERT_NE(found, vips_.end());
    const TcpRoute& route = found->second->route;
    EXPECT_EQ(route.hashSourceIp, vip.hashSourceIp);
    ASSERT_EQ(route.clusters.size(), vip.clusters.size());
    for (std::size_t i = 0; i < vip.clusters.size(); ++i) {
      expectCluster(route.clusters[i], vip.clusters[i]);
    }
  }
  EXPECT_EQ(vips_.size(), withClusters);
}

TEST_F(IstiodSamples, NoVipIsMadeThatTheInputsDoNotHave) {
  for (const auto& [address, listener] : vips_) {
    EXPECT_TRUE(expected_.contains(address)) << address.toString() << " of " << listener->name;
  }
}

TEST_F(IstiodSamples, WhatMakesNoVipSaysWhy) {
  for (const auto& [name, reason] : leftAlone_) {
    SCOPED_TRACE(name);
    if (name == "virtualInbound") {
      EXPECT_EQ(reason, "INBOUND");
    } else if (name == "connect_originate") {
      EXPECT_EQ(reason, "internal listener");
    } else if (name == "virtualOutbound") {
      EXPECT_THAT(reason, HasSubstr("use_original_dst"));
    } else {
      EXPECT_THAT(name, testing::StartsWith("0.0.0.0_"));
      EXPECT_THAT(reason, AnyOf(HasSubstr("wildcard address 0.0.0.0:"),
                                HasSubstr("no domain is an address"),
                                HasSubstr("leads to PassthroughCluster")));
    }
  }
}

TEST_F(IstiodSamples, TheClustersThatStandForNoServiceAreLeftAlone) {
  EXPECT_EQ(clusters_.at("BlackHoleCluster")->leaveAlone, LeftAloneReason::kBlackHole);
  EXPECT_EQ(clusters_.at("PassthroughCluster")->leaveAlone, LeftAloneReason::kOriginalDst);
  EXPECT_EQ(clusters_.at("connect_originate")->leaveAlone, LeftAloneReason::kTls);
}

TEST_F(IstiodSamples, AutomaticTlsIsListed) {
  EXPECT_TRUE(clusters_.at("outbound|9000||tcp.default.svc.cluster.local")->automaticTls);
  EXPECT_FALSE(clusters_.at("outbound|7074||dns.example")->automaticTls);  // tunnel or plain
}

}  // namespace
}  // namespace sockmesh
