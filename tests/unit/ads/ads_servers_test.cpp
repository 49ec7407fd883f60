// SPDX-License-Identifier: Apache-2.0
// Several control planes in order, and the numbers that a stream leaves.
#include "ads_client_fixture.h"

namespace sockmesh {
namespace {

using namespace testing;

class AdsServers : public AdsClientTest {
 protected:
  AdsServers() {
    options_.backoffBase = std::chrono::hours(1);
    options_.backoffMax = std::chrono::hours(1);
  }
  // An address where nobody listens.
  static std::string nobody() { return "127.0.0.1:" + std::to_string(ScriptedAdsServer().port()); }

  void startClient(std::vector<std::string> addresses) {
    options_.channel.target = addresses.front();
    options_.fallbackTargets.assign(addresses.begin() + 1, addresses.end());
    AdsClientTest::startClient();
  }
};

TEST_F(AdsServers, OneThatCannotBeReachedIsFollowedByTheNextAtOnce) {
  ScriptedAdsServer server;
  startClient({nobody(), nobody(), server.address()});
  const auto stream = server.stream();
  ASSERT_TRUE(stream) << "no wait of an hour";
  bringUp(*stream);
  const XdsStats now = stats([](const XdsStats& s) { return s.connected; });
  EXPECT_EQ(now.address, server.address());
  EXPECT_EQ(now.connections, 1U);
}

TEST_F(AdsServers, ALostConnectionBeginsWithTheFirst) {
  options_.backoffBase = options_.backoffMax = std::chrono::milliseconds(2);
  ScriptedAdsServer first;
  ScriptedAdsServer second;
  const std::string firstAddress = first.address();
  startClient({firstAddress, second.address()});
  const auto one = first.stream();
  ASSERT_TRUE(one);
  bringUp(*one);
  first.stop();
  const auto two = second.stream();
  ASSERT_TRUE(two);
  EXPECT_EQ(two->request().version_info(), "c1") << "what is held is told to the other server";
  two->send(response(kClusterType, "c1", "n1", edsCluster("a")));
  ASSERT_EQ(stats([&](const XdsStats& s) {
              return s.connected && s.address == second.address();
            }).connections,
            2U);
  ScriptedAdsServer again(first.port());
  two->finish(grpc::Status::OK);
  EXPECT_TRUE(again.stream());
}

TEST_F(AdsServers, AfterTheLastOneThereIsAWait) {
  options_.backoffBase = options_.backoffMax = std::chrono::milliseconds(2);
  ScriptedAdsServer server;
  const int port = server.port();
  server.stop();
  const std::string dead = nobody();
  startClient({dead, "127.0.0.1:" + std::to_string(port)});
  stats([&](const XdsStats& s) { return !s.lastError.empty() && s.address != dead; });
  ScriptedAdsServer later(port);
  EXPECT_TRUE(later.stream()) << "the list is tried again";
}

TEST_F(AdsServers, WhatCameAndWhatWaitsIsCounted) {
  ScriptedAdsServer server;
  startClient({server.address()});
  const auto stream = server.stream();
  ASSERT_TRUE(stream);
  EXPECT_EQ(stream->request().type_url(), kClusterType);
  const Response clusters = response(kClusterType, "c1", "n1", edsCluster("a"), edsCluster("b"));
  stream->send(clusters);
  EXPECT_EQ(stream->request().response_nonce(), "n1");
  EXPECT_EQ(stream->request().type_url(), kAssignmentType);
  const XdsStats waiting = stats([](const XdsStats& s) { return s.types[0].accepted == 1; });
  EXPECT_EQ(waiting.types[0].bytes, clusters.ByteSizeLong());
  EXPECT_EQ(waiting.types[1].awaited, 2U) << "endpoints of a and b";
  EXPECT_TRUE(waiting.lastMessageAt.has_value());
  EXPECT_TRUE(waiting.snapshotAt.has_value());
  stream->send(response(kAssignmentType, "e1", "n2", assignment("a", 80), assignment("b", 80)));
  const XdsStats warm = stats([](const XdsStats& s) { return s.types[1].accepted == 1; });
  EXPECT_EQ(warm.types[1].awaited, 0U);
  EXPECT_EQ(warm.types[0].held, 0U);
  testing::Cluster renamed = edsCluster("a");
  renamed.mutable_eds_cluster_config()->set_service_name("new");
  stream->send(response(kClusterType, "c2", "n3", renamed, edsCluster("b")));
  const XdsStats kept = stats([](const XdsStats& s) { return s.types[0].accepted == 2; });
  EXPECT_EQ(kept.types[0].held, 1U) << "a serves with its old endpoints";
  EXPECT_EQ(kept.types[1].awaited, 1U);
}

TEST_F(AdsServers, WhatTheCacheGaveIsStaleUntilTheControlPlaneHasSpoken) {
  store_.apply(updateOf(response(kClusterType, "c1", "", edsCluster("a"))));
  store_.apply(updateOf(response(kListenerType, "l1", "")));
  restoredAt_ = std::chrono::seconds(1000);
  ScriptedAdsServer server;
  startClient({server.address()});
  const auto restored = snapshot([](const Snapshot& s) { return s.complete; });
  ASSERT_TRUE(restored) << "without a word of the control plane";
  EXPECT_TRUE(restored->clusters.contains("a"));
  EXPECT_EQ(stats([](const XdsStats& s) { return s.staleSince.has_value(); }).staleSince,
            Nanos(std::chrono::seconds(1000)));
  const auto stream = server.stream();
  ASSERT_TRUE(stream);
  EXPECT_EQ(stream->request().type_url(), kClusterType);
  EXPECT_EQ(stream->request().type_url(), kAssignmentType);
  EXPECT_EQ(stream->request().type_url(), kListenerType) << "clusters are known already";
  stream->send(response(kClusterType, "c2", "n1", edsCluster("a")));
  stats([](const XdsStats& s) { return s.types[0].accepted == 1 && s.staleSince.has_value(); });
  stream->send(response(kListenerType, "l2", "n2"));
  stats([](const XdsStats& s) { return s.types[2].accepted == 1 && !s.staleSince.has_value(); });
}

}  // namespace
}  // namespace sockmesh
