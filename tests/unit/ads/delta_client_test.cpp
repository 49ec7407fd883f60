// SPDX-License-Identifier: Apache-2.0
// The client in the delta protocol, over a real stream on loopback.
#include <gmock/gmock.h>

#include "delta_responses.h"

namespace sockmesh {
namespace {

using namespace testing;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

class DeltaClient : public DeltaClientTest {};

TEST_F(DeltaClient, AsksForClustersThenTheirEndpointsThenListeners) {
  const auto stream = connect();
  ASSERT_TRUE(stream);
  const DeltaRequest clusters = stream->request();
  EXPECT_EQ(clusters.type_url(), kClusterType);
  EXPECT_EQ(clusters.node().user_agent_name(), "sockmesh");
  EXPECT_THAT(addedNames(clusters), IsEmpty());
  stream->send(deltaResponse(kClusterType, "1", {}, edsCluster("b"), edsCluster("a")));
  const DeltaRequest ack = stream->request();
  EXPECT_EQ(ack.response_nonce(), "1");
  EXPECT_FALSE(ack.has_node());
  EXPECT_FALSE(ack.has_error_detail());
  const DeltaRequest endpoints = stream->request();
  EXPECT_EQ(endpoints.type_url(), kAssignmentType);
  EXPECT_THAT(addedNames(endpoints), ElementsAre("a", "b"));
  EXPECT_EQ(endpoints.response_nonce(), "");
  EXPECT_EQ(stream->request().type_url(), kListenerType);
}

TEST_F(DeltaClient, ChangesTravelAloneAndSubscriptionsFollow) {
  const auto stream = connect();
  ASSERT_TRUE(stream);
  bringUpDelta(*stream);
  const auto complete = snapshot([](const Snapshot& s) { return s.complete; });
  ASSERT_TRUE(complete);
  EXPECT_TRUE(complete->assignments.contains("a"));

  stream->send(deltaResponse(kClusterType, "4", {}, edsCluster("b")));
  EXPECT_EQ(stream->request().response_nonce(), "4");
  const DeltaRequest more = stream->request();
  EXPECT_THAT(addedNames(more), ElementsAre("b"));
  EXPECT_THAT(droppedNames(more), IsEmpty());
  EXPECT_TRUE(snapshot([](const Snapshot& s) { return s.clusters.size() == 2; }));

  stream->send(deltaResponse(kClusterType, "5", {"a"}));
  EXPECT_EQ(stream->request().response_nonce(), "5");
  EXPECT_THAT(droppedNames(stream->request()), ElementsAre("a"));
  const auto left = snapshot([](const Snapshot& s) { return s.clusters.size() == 1; });
  ASSERT_TRUE(left);
  EXPECT_TRUE(left->clusters.contains("b"));
  EXPECT_FALSE(left->assignments.contains("a"));
}

TEST_F(DeltaClient, ABadResourceIsNackedAndStaysListedUntilItIsMendedOrRemoved) {
  const auto stream = connect();
  ASSERT_TRUE(stream);
  bringUpDelta(*stream);
  stream->send(deltaResponse(kClusterType, "4", {}, badCluster("a"), badCluster("b")));
  const DeltaRequest nack = stream->request();
  EXPECT_EQ(nack.response_nonce(), "4");
  EXPECT_EQ(nack.error_detail().code(), 13);
  EXPECT_THAT(nack.error_detail().message(), HasSubstr("a: "));
  stream->send(deltaResponse(kClusterType, "5", {}, edsCluster("c")));
  const XdsStats other = stats([](const XdsStats& s) { return s.types[0].accepted == 2; });
  EXPECT_THAT(other.types[0].rejectedResources, ElementsAre("a", "b"));
  stream->send(deltaResponse(kClusterType, "6", {"b"}, edsCluster("a")));
  const XdsStats mended = stats([](const XdsStats& s) { return s.types[0].accepted == 3; });
  EXPECT_THAT(mended.types[0].rejectedResources, IsEmpty());
}

TEST_F(DeltaClient, AfterALossTheServerLearnsWhatIsHeldAndSaysWhatIsGone) {
  const auto first = connect();
  ASSERT_TRUE(first);
  bringUpDelta(*first);
  first->finish({grpc::StatusCode::UNAVAILABLE, "restart"});

  const auto second = server_.deltaStream();
  ASSERT_TRUE(second);
  const DeltaRequest clusters = second->request();
  EXPECT_EQ(clusters.type_url(), kClusterType);
  EXPECT_TRUE(clusters.has_node());
  EXPECT_EQ(clusters.response_nonce(), "");
  EXPECT_THAT(clusters.initial_resource_versions(), ElementsAre(Pair("a", "v1")));
  const DeltaRequest endpoints = second->request();
  EXPECT_THAT(addedNames(endpoints), ElementsAre("a"));
  EXPECT_THAT(endpoints.initial_resource_versions(), ElementsAre(Pair("a", "v2")));
  EXPECT_EQ(second->request().type_url(), kListenerType);
  second->send(deltaResponse(kClusterType, "1", {"a"}, edsCluster("b")));
  const auto after = snapshot([](const Snapshot& s) { return s.clusters.contains("b"); });
  ASSERT_TRUE(after);
  EXPECT_FALSE(after->clusters.contains("a"));
}

// The server does not know that the client ever heard of it, so it never says that it is gone.
TEST_F(DeltaClient, ABadResourceThatANewStreamDoesNotHaveIsListedNoMore) {
  const auto first = connect();
  ASSERT_TRUE(first);
  bringUpDelta(*first);
  first->send(deltaResponse(kClusterType, "4", {}, badCluster("b")));
  EXPECT_TRUE(first->request().has_error_detail());
  first->finish({grpc::StatusCode::UNAVAILABLE, "restart"});

  const auto second = server_.deltaStream();
  ASSERT_TRUE(second);
  EXPECT_EQ(second->request().type_url(), kClusterType);
  second->send(deltaResponse(kClusterType, "1", {}, edsCluster("c")));
  const XdsStats after = stats([](const XdsStats& s) { return s.types[0].accepted == 2; });
  EXPECT_THAT(after.types[0].rejectedResources, IsEmpty());
}

TEST_F(DeltaClient, AServerWithNothingNewToSayIsConnected) {
  options_.quietConnection = std::chrono::milliseconds(5);
  const auto stream = connect();
  ASSERT_TRUE(stream);
  EXPECT_EQ(stream->request().type_url(), kClusterType);
  EXPECT_EQ(stats([](const XdsStats& s) { return s.connected; }).connections, 1U);
}

TEST_F(DeltaClient, AServerWithoutDeltaIsAskedForTheStateOfTheWorldAtOnce) {
  options_.backoffBase = options_.backoffMax = std::chrono::hours(1);
  server_.speakDelta(false);
  options_.channel.target = server_.address();
  startClient();
  const auto stream = server_.stream();
  ASSERT_TRUE(stream) << "without waiting for a retry";
  bringUp(*stream);
  const XdsStats now = stats([](const XdsStats& s) { return s.types[2].accepted == 1; });
  EXPECT_EQ(now.protocol, "state of the world");
  EXPECT_EQ(now.lastError, "");
  EXPECT_TRUE(snapshot([](const Snapshot& s) { return s.complete; }));
}

TEST_F(DeltaClient, TheFallbackKnowsItsVersionsOnTheNextStream) {
  server_.speakDelta(false);
  startClient(server_.address());
  const auto first = server_.stream();
  ASSERT_TRUE(first);
  bringUp(*first);
  first->finish(grpc::Status::OK);
  const auto second = server_.stream();
  ASSERT_TRUE(second);
  EXPECT_EQ(second->request().version_info(), "c1");
  EXPECT_EQ(namesOf(second->request()), (std::vector<std::string>{"a"}));
}

TEST_F(DeltaClient, AServerThatLearnsDeltaMeanwhileIsToldWhatIsHeld) {
  server_.speakDelta(false);
  startClient(server_.address());
  const auto first = server_.stream();
  ASSERT_TRUE(first);
  bringUp(*first);
  server_.speakDelta(true);
  first->finish(grpc::Status::OK);
  const auto second = server_.deltaStream();
  ASSERT_TRUE(second);
  EXPECT_THAT(second->request().initial_resource_versions(), ElementsAre(Pair("a", "")));
  second->send(deltaResponse(kClusterType, "1", {"a"}));
  EXPECT_TRUE(snapshot([](const Snapshot& s) { return s.complete && s.clusters.empty(); }))
      << "what vanished between the protocols is removed";
}

TEST_F(DeltaClient, WithoutAFallbackARefusalIsAFailure) {
  options_.fallback = nullptr;
  server_.speakDelta(false);
  startClient(server_.address());
  EXPECT_THAT(stats([](const XdsStats& s) { return !s.lastError.empty(); }).lastError,
              HasSubstr("UNIMPLEMENTED"));
}

}  // namespace
}  // namespace sockmesh
