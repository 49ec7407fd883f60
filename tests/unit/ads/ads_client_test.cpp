// SPDX-License-Identifier: Apache-2.0
// The client over a real stream on loopback: what it says on the wire, and what comes out of it.
#include "ads/ads_client.h"

#include "ads_client_fixture.h"

namespace sockmesh::testing {
namespace {

TEST_F(AdsClientTest, AsksForClustersThenTheirEndpointsThenListeners) {
  ScriptedAdsServer server;
  startClient(server.address());
  const auto stream = server.stream();
  ASSERT_TRUE(stream);

  const Request clusters = stream->request();
  EXPECT_EQ(clusters.type_url(), kClusterType);
  EXPECT_TRUE(namesOf(clusters).empty());
  EXPECT_EQ(clusters.node().id(), "sidecar~10.0.0.9~node.ns~ns.svc.cluster.local");
  EXPECT_EQ(clusters.node().user_agent_name(), "sockmesh");
  stream->send(response(kClusterType, "c1", "n1", edsCluster("b"), edsCluster("a")));

  const Request ack = stream->request();
  EXPECT_EQ(ack.type_url(), kClusterType);
  EXPECT_EQ(ack.version_info(), "c1");
  EXPECT_EQ(ack.response_nonce(), "n1");
  EXPECT_FALSE(ack.has_node());

  const Request assignments = stream->request();
  EXPECT_EQ(assignments.type_url(), kAssignmentType);
  EXPECT_EQ(namesOf(assignments), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(assignments.response_nonce(), "");

  const Request listeners = stream->request();
  EXPECT_EQ(listeners.type_url(), kListenerType);
  EXPECT_TRUE(namesOf(listeners).empty());
}

TEST_F(AdsClientTest, AServerWithoutClustersIsAskedForListenersInTheEnd) {
  firstResponseWait_ = milliseconds(5);
  ScriptedAdsServer server;
  startClient(server.address());
  const auto stream = server.stream();
  ASSERT_TRUE(stream);
  EXPECT_EQ(stream->request().type_url(), kClusterType);
  EXPECT_EQ(stream->request().type_url(), kListenerType);
}

TEST_F(AdsClientTest, TheSnapshotIsCompleteOnceClustersAndListenersCame) {
  ScriptedAdsServer server;
  startClient(server.address());
  const auto stream = server.stream();
  ASSERT_TRUE(stream);
  bringUp(*stream);
  const auto complete = snapshot([](const Snapshot& s) { return s.complete; });
  ASSERT_TRUE(complete);
  ASSERT_TRUE(complete->assignments.contains("a"));
  const XdsStats now = stats([](const XdsStats& s) { return s.types[2].accepted == 1; });
  EXPECT_TRUE(now.connected);
  EXPECT_EQ(now.connections, 1u);
  EXPECT_EQ(now.types[0].version, "c1");
  EXPECT_EQ(now.types[0].resources, 1u);
  EXPECT_EQ(now.types[1].type, "EDS");
  EXPECT_TRUE(now.types[1].lastUpdateAt.has_value());
}

TEST_F(AdsClientTest, ABadResourceIsNackedByNameAndTheGoodOnesCount) {
  ScriptedAdsServer server;
  startClient(server.address());
  const auto stream = server.stream();
  ASSERT_TRUE(stream);
  bringUp(*stream);

  stream->send(response(kClusterType, "c2", "n4", badCluster("a"), edsCluster("b")));
  const Request nack = stream->request();
  EXPECT_EQ(nack.type_url(), kClusterType);
  EXPECT_EQ(nack.version_info(), "c1");
  EXPECT_EQ(nack.response_nonce(), "n4");
  EXPECT_EQ(nack.error_detail().code(), 13);
  EXPECT_NE(nack.error_detail().message().find("a: "), std::string::npos);
  EXPECT_NE(nack.error_detail().message().find("interval"), std::string::npos);
  EXPECT_EQ(namesOf(stream->request()), (std::vector<std::string>{"a", "b"}));
  const auto both = snapshot([](const Snapshot& s) { return s.clusters.contains("b"); });
  ASSERT_TRUE(both);
  EXPECT_TRUE(both->clusters.contains("a")) << "the last good one stays";

  const XdsStats rejected = stats([](const XdsStats& s) { return s.types[0].rejected == 1; });
  EXPECT_EQ(rejected.types[0].version, "c1");
  EXPECT_EQ(rejected.types[0].rejectedResources, (std::vector<std::string>{"a"}));
  ASSERT_TRUE(rejected.types[0].lastRejection.has_value());

  stream->send(response(kClusterType, "c3", "n5", edsCluster("a"), edsCluster("b")));
  const Request ack = stream->request();
  EXPECT_EQ(ack.version_info(), "c3");
  EXPECT_FALSE(ack.has_error_detail());
  const XdsStats mended = stats([](const XdsStats& s) { return s.types[0].accepted == 2; });
  EXPECT_TRUE(mended.types[0].rejectedResources.empty());
  EXPECT_TRUE(mended.types[0].lastRejection.has_value());
}

TEST_F(AdsClientTest, EndpointSubscriptionsFollowTheClusters) {
  ScriptedAdsServer server;
  startClient(server.address());
  const auto stream = server.stream();
  ASSERT_TRUE(stream);
  bringUp(*stream);

  stream->send(response(kClusterType, "c2", "n4", edsCluster("a"), edsCluster("b")));
  EXPECT_EQ(stream->request().response_nonce(), "n4");
  const Request more = stream->request();
  EXPECT_EQ(more.type_url(), kAssignmentType);
  EXPECT_EQ(namesOf(more), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(more.response_nonce(), "n2") << "the latest of the type";
  EXPECT_EQ(more.version_info(), "e1");

  stream->send(response(kClusterType, "c3", "n5"));
  EXPECT_EQ(stream->request().response_nonce(), "n5");
  const Request none = stream->request();
  EXPECT_EQ(none.type_url(), kAssignmentType);
  EXPECT_TRUE(namesOf(none).empty());
}

TEST_F(AdsClientTest, EachResponseIsAnsweredOnceAlsoARepeatedOne) {
  ScriptedAdsServer server;
  startClient(server.address());
  const auto stream = server.stream();
  ASSERT_TRUE(stream);
  bringUp(*stream);
  ASSERT_TRUE(snapshot([](const Snapshot& s) { return s.complete; }));

  stream->send(response(kClusterType, "c1", "n7", edsCluster("a")));
  EXPECT_EQ(stream->request().response_nonce(), "n7");
  Response unknown = response("type.googleapis.com/envoy.unknown.Thing", "x", "n8");
  stream->send(unknown);
  stream->send(response(kListenerType, "l1", "n9"));
  EXPECT_EQ(stream->request().response_nonce(), "n9") << "no answer to a type not asked for";
  stats([](const XdsStats& s) { return s.types[2].accepted == 2; });
  EXPECT_FALSE(snapshots_.take(milliseconds(1)).has_value()) << "nothing changed";
}

TEST_F(AdsClientTest, AfterALossItComesBackWithVersionsAndWithoutNonces) {
  ScriptedAdsServer server;
  startClient(server.address());
  const auto first = server.stream();
  ASSERT_TRUE(first);
  bringUp(*first);
  first->finish(grpc::Status(grpc::StatusCode::INTERNAL, "gone wrong"));

  const auto second = server.stream();
  ASSERT_TRUE(second);
  const Request clusters = second->request();
  EXPECT_EQ(clusters.type_url(), kClusterType);
  EXPECT_EQ(clusters.version_info(), "c1");
  EXPECT_EQ(clusters.response_nonce(), "");
  EXPECT_EQ(clusters.node().user_agent_name(), "sockmesh");
  const Request assignments = second->request();
  EXPECT_EQ(assignments.type_url(), kAssignmentType);
  EXPECT_EQ(assignments.version_info(), "e1");
  EXPECT_EQ(namesOf(assignments), (std::vector<std::string>{"a"}));
  EXPECT_EQ(second->request().type_url(), kListenerType);
  const XdsStats lost = stats([](const XdsStats& s) { return s.lastError != ""; });
  EXPECT_FALSE(lost.connected);
  EXPECT_EQ(lost.lastError, "INTERNAL: gone wrong");
  EXPECT_EQ(lost.types[0].version, "c1") << "what was received stays";
}

TEST_F(AdsClientTest, AStreamClosedInGoodOrderIsOpenedAgain) {
  ScriptedAdsServer server;
  startClient(server.address());
  const auto first = server.stream();
  ASSERT_TRUE(first);
  first->finish(grpc::Status::OK);
  EXPECT_TRUE(server.stream());
}

TEST_F(AdsClientTest, AServerThatComesLaterIsFound) {
  int port = 0;
  { port = ScriptedAdsServer().port(); }
  startClient("127.0.0.1:" + std::to_string(port));
  const XdsStats refused = stats([](const XdsStats& s) { return !s.lastError.empty(); });
  EXPECT_FALSE(refused.connected);
  EXPECT_NE(refused.lastError.find("UNAVAILABLE"), std::string::npos) << refused.lastError;
  ScriptedAdsServer server(port);
  const auto stream = server.stream();
  ASSERT_TRUE(stream);
  bringUp(*stream);
}

TEST_F(AdsClientTest, AServerThatIsReplacedIsFoundAgain) {
  auto server = std::make_unique<ScriptedAdsServer>();
  const int port = server->port();
  startClient(server->address());
  const auto first = server->stream();
  ASSERT_TRUE(first);
  bringUp(*first);
  server.reset();
  ScriptedAdsServer next(port);
  const auto second = next.stream();
  ASSERT_TRUE(second);
  EXPECT_EQ(second->request().version_info(), "c1");
}

TEST_F(AdsClientTest, AResponseOfManyMegabytesIsTaken) {
  ScriptedAdsServer server;
  startClient(server.address());
  const auto stream = server.stream();
  ASSERT_TRUE(stream);
  EXPECT_EQ(stream->request().type_url(), kClusterType);
  Response big = response(kClusterType, "c1", "n1");
  for (int i = 0; i < 8000; ++i) {
    Cluster cluster = edsCluster("cluster-" + std::to_string(i));
    cluster.set_alt_stat_name(std::string(1000, 'x'));
    big.add_resources()->PackFrom(cluster);
  }
  ASSERT_GT(big.ByteSizeLong(), 8u << 20);
  stream->send(big);
  EXPECT_EQ(stream->request().version_info(), "c1");
  EXPECT_EQ(stream->request().resource_names_size(), 8000);
}

TEST_F(AdsClientTest, EndpointsThatDoNotComeInTimeCountAsNone) {
  ScriptedAdsServer server;
  startClient(server.address());
  const auto stream = server.stream();
  ASSERT_TRUE(stream);
  EXPECT_EQ(stream->request().type_url(), kClusterType);
  Cluster hasty = edsCluster("hasty");
  hasty.mutable_eds_cluster_config()
      ->mutable_eds_config()
      ->mutable_initial_fetch_timeout()
      ->set_nanos(2'000'000);
  Cluster patient = edsCluster("patient");
  patient.mutable_eds_cluster_config()
      ->mutable_eds_config()
      ->mutable_initial_fetch_timeout()
      ->set_seconds(0);
  stream->send(response(kClusterType, "c1", "n1", hasty, patient));
  const auto timedOut = snapshot([](const Snapshot& s) { return s.assignments.contains("hasty"); });
  ASSERT_TRUE(timedOut);
  EXPECT_TRUE(timedOut->assignments.at("hasty")->localities.empty());
  EXPECT_FALSE(timedOut->assignments.contains("patient"));
}

TEST_F(AdsClientTest, WhatIsNotRenewedExpiresAndIsAskedForAgain) {
  ScriptedAdsServer server;
  startClient(server.address());
  const auto stream = server.stream();
  ASSERT_TRUE(stream);
  EXPECT_EQ(stream->request().type_url(), kClusterType);
  envoy::service::discovery::v3::Resource mortal;
  mortal.set_name("a");
  mortal.mutable_ttl()->set_nanos(2'000'000);
  mortal.mutable_resource()->PackFrom(edsCluster("a"));
  stream->send(response(kClusterType, "c1", "n1", mortal, edsCluster("b")));
  EXPECT_EQ(stream->request().response_nonce(), "n1");
  const auto expired = snapshot([](const Snapshot& s) { return !s.clusters.contains("a"); });
  ASSERT_TRUE(expired);
  EXPECT_TRUE(expired->clusters.contains("b"));
  EXPECT_EQ(stats([](const XdsStats& s) { return s.types[0].expired > 0; }).types[0].expired, 1U);
  // A heartbeat cannot bring it back; the refusal says that nothing is held.
  mortal.clear_resource();
  stream->send(response(kClusterType, "c1", "n2", mortal));
  Request nack = stream->request();
  while (nack.response_nonce() != "n2") nack = stream->request();
  EXPECT_EQ(nack.version_info(), "");
  EXPECT_NE(nack.error_detail().message().find("a: has no content"), std::string::npos);
}

TEST_F(AdsClientTest, TtlsEndWithoutAConnection) {
  auto server = std::make_unique<ScriptedAdsServer>();
  startClient(server->address());
  const auto stream = server->stream();
  ASSERT_TRUE(stream);
  EXPECT_EQ(stream->request().type_url(), kClusterType);
  envoy::service::discovery::v3::Resource mortal;
  mortal.set_name("a");
  mortal.mutable_ttl()->set_nanos(200'000'000);
  mortal.mutable_resource()->PackFrom(edsCluster("a"));
  stream->send(response(kClusterType, "c1", "n1", mortal));
  ASSERT_TRUE(snapshot([](const Snapshot& s) { return s.clusters.contains("a"); }));
  server.reset();
  EXPECT_TRUE(snapshot([](const Snapshot& s) { return s.clusters.empty(); }));
}

TEST_F(AdsClientTest, AClusterThatWaitsIsAskedForAfterALossBesideTheOneThatServes) {
  ScriptedAdsServer server;
  startClient(server.address());
  const auto first = server.stream();
  ASSERT_TRUE(first);
  bringUp(*first);
  Cluster renamed = edsCluster("a");
  renamed.mutable_eds_cluster_config()->set_service_name("new");
  first->send(response(kClusterType, "c2", "n4", renamed));
  EXPECT_EQ(first->request().response_nonce(), "n4");
  EXPECT_EQ(namesOf(first->request()), (std::vector<std::string>{"a", "new"}));
  first->finish(grpc::Status(grpc::StatusCode::UNAVAILABLE, "restart"));

  const auto second = server.stream();
  ASSERT_TRUE(second);
  EXPECT_EQ(second->request().type_url(), kClusterType);
  const Request assignments = second->request();
  EXPECT_EQ(namesOf(assignments), (std::vector<std::string>{"a", "new"}));
  second->send(response(kAssignmentType, "e2", "n1", assignment("new", 81)));
  const auto warm = snapshot([](const Snapshot& s) { return s.assignments.contains("new"); });
  ASSERT_TRUE(warm);
  EXPECT_EQ(warm->clusters.at("a")->edsName, "new");
  EXPECT_FALSE(warm->assignments.contains("a"));
}

TEST_F(AdsClientTest, StoppingEndsTheStream) {
  ScriptedAdsServer server;
  startClient(server.address());
  const auto stream = server.stream();
  ASSERT_TRUE(stream);
  bringUp(*stream);
  loop_->post([this] { client_->stop(); });
  EXPECT_TRUE(stream->ended());
}

}  // namespace
}  // namespace sockmesh::testing
