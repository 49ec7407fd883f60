// SPDX-License-Identifier: Apache-2.0
// Nothing queues up in the client: a server that is faster than the loop, and a server that does
// not read.
#include <atomic>
#include <chrono>

#include "ads_client_fixture.h"

namespace sockmesh::testing {
namespace {

// A CDS response of 4 MiB, all of it in one cluster's name.
Response bigResponse(int version) {
  Cluster cluster = edsCluster("a");
  cluster.set_alt_stat_name(std::string(4 << 20, 'x'));
  cluster.mutable_connect_timeout()->set_seconds(version + 1);
  const std::string text = std::to_string(version);
  return response(kClusterType, text, text, cluster);
}

class AdsClientPace : public AdsClientTest {
 protected:
  Mailbox<bool> busy_;
  Mailbox<bool> goOn_;
  Mailbox<std::string> order_;
};

// What the server sends while the loop is busy waits at the server's side of the connection.
TEST_F(AdsClientPace, AServerThatIsFasterThanTheLoopIsReadNoFasterThanTheLoopApplies) {
  whenTold_ = [this](const Snapshot&) {
    busy_.put(true);
    goOn_.take();
  };
  ScriptedAdsServer server;
  startClient(server.address());
  const auto stream = server.stream();
  ASSERT_TRUE(stream);
  int sent = 0;
  const auto sendUntilItIsHeldUp = [&] {
    for (; sent < 50; ++sent) {
      if (sent > 0 && !stream->sent(milliseconds(500))) return true;
      stream->beginSend(bigResponse(sent));
    }
    return false;
  };
  ASSERT_TRUE(sendUntilItIsHeldUp());
  // One is applied, one is in the client's hands, and some are in the sockets' buffers.
  EXPECT_LT(sent, 12) << "of 4 MiB each";
  ASSERT_TRUE(busy_.take());
  for (int applied = 1; applied <= 6; ++applied) {
    goOn_.put(true);
    ASSERT_TRUE(busy_.take()) << applied;
    ASSERT_TRUE(sendUntilItIsHeldUp());
    EXPECT_LT(sent - applied, 12) << applied;
  }
  for (int i = 0; i < 50; ++i) goOn_.put(true);
  const auto last =
      snapshot([&](const Snapshot& s) { return s.versions.at("CDS") == std::to_string(sent - 1); });
  ASSERT_TRUE(last);
  EXPECT_EQ(last->clusters.at("a")->connectTimeout, std::chrono::seconds(sent));
}

// A snapshot may hold several responses.
TEST_F(AdsClientPace, TheNextSnapshotIsToldAfterWhatTheLastOneMadeTheLoopDo) {
  whenTold_ = [this](const Snapshot& snapshot) {
    const std::string version = snapshot.versions.at("CDS");
    order_.put("told " + version);
    loop_->post([this, version] { order_.put("applied " + version); });
  };
  ScriptedAdsServer server;
  startClient(server.address());
  const auto stream = server.stream();
  ASSERT_TRUE(stream);
  for (int i = 0; i < 20; ++i) {
    Cluster cluster = edsCluster("a");
    cluster.mutable_connect_timeout()->set_seconds(i + 1);
    stream->send(response(kClusterType, std::to_string(i), std::to_string(i), cluster));
  }
  for (int last = -1; last < 19;) {
    const auto told = order_.take();
    ASSERT_TRUE(told && told->starts_with("told ")) << told.value_or("nothing");
    const std::string version = told->substr(5);
    EXPECT_EQ(order_.take(), "applied " + version);
    EXPECT_GT(std::stoi(version), last);
    last = std::stoi(version);
  }
}

// Each snapshot costs its readers, so a storm of changes makes fewer of them than responses. A
// change after a pause is told at once.
TEST_F(AdsClientPace, AStormIsToldInFewerSnapshots) {
  std::atomic<int> told = 0;
  whenTold_ = [&told](const Snapshot&) { ++told; };
  ScriptedAdsServer server;
  startClient(server.address());
  const auto stream = server.stream();
  ASSERT_TRUE(stream);
  const auto begun = std::chrono::steady_clock::now();
  for (int i = 0; i < 500; ++i) {
    Cluster cluster = edsCluster("a");
    cluster.mutable_connect_timeout()->set_seconds(i + 1);
    stream->send(response(kClusterType, std::to_string(i), std::to_string(i), cluster));
  }
  ASSERT_TRUE(snapshot([](const Snapshot& s) { return s.versions.at("CDS") == "499"; }));
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - begun;
  EXPECT_LE(told, 2 + took.count() / 3);
}

// gRPC tells the end of a stream after the messages before it. A client that gave up reading when
// its answer could not be written never heard of the end.
TEST_F(AdsClientPace, AStreamThatEndsBehindUnreadResponsesIsReplaced) {
  whenTold_ = [this](const Snapshot&) {
    busy_.put(true);
    goOn_.take();
  };
  ScriptedAdsServer server;
  startClient(server.address());
  const auto stream = server.stream();
  ASSERT_TRUE(stream);
  stream->send(response(kClusterType, "c0", "n0", edsCluster("c0")));
  ASSERT_TRUE(busy_.take());
  for (const std::string version : {"c1", "c2", "c3"}) {
    stream->send(response(kClusterType, version, version, edsCluster(version)));
  }
  stream->finish({grpc::StatusCode::UNKNOWN, "enough"});
  ASSERT_TRUE(stream->ended());
  for (int i = 0; i < 10; ++i) goOn_.put(true);
  EXPECT_TRUE(server.stream()) << "no other stream was opened";
}

// The client does not wait for it. Answers that it has not read become one answer, the latest.
TEST_F(AdsClientPace, AServerThatDoesNotReadIsAnsweredOnceInTheEnd) {
  ScriptedAdsServer server;
  startClient(server.address());
  const auto stream = server.stream();
  ASSERT_TRUE(stream);
  EXPECT_EQ(stream->request().type_url(), kClusterType);
  // So many names that a few requests fill every buffer on the way.
  constexpr int kNames = 2000;
  Response clusters = response(kClusterType, "c1", "n1");
  std::vector<std::string> names;
  for (int i = 0; i < kNames; ++i) {
    names.push_back(std::string(1000, 'x') + std::to_string(i));
    clusters.add_resources()->PackFrom(edsCluster(names.back()));
  }
  stream->send(clusters);
  EXPECT_EQ(stream->request().response_nonce(), "n1");
  EXPECT_EQ(stream->request().resource_names_size(), kNames);
  EXPECT_EQ(stream->request().type_url(), kListenerType);
  stream->readRequests(false);
  constexpr int kResponses = 60;
  for (int i = 1; i <= kResponses; ++i) {
    const std::string text = std::to_string(i);
    stream->send(response(kAssignmentType, text, text, assignment(names[0], 80 + i)));
  }
  ASSERT_TRUE(snapshot([&](const Snapshot& s) {
    const auto found = s.assignments.find(names[0]);
    return found != s.assignments.end() &&
           found->second->localities[0].endpoints[0].address.port == 80 + kResponses;
  }));
  stream->readRequests(true);
  int answers = 1;
  while (stream->request().response_nonce() != std::to_string(kResponses)) ++answers;
  EXPECT_LT(answers, kResponses / 2);
}

// As go-control-plane's snapshot cache does.
TEST_F(AdsClientPace, AServerThatRepeatsWhatWasRejectedIsAnsweredInItsOwnTime) {
  options_.repeatedRejectionWait = milliseconds(200);
  ScriptedAdsServer server;
  startClient(server.address());
  const auto stream = server.stream();
  ASSERT_TRUE(stream);
  EXPECT_EQ(stream->request().type_url(), kClusterType);
  stream->send(response(kClusterType, "c1", "n0", badCluster("a")));
  EXPECT_EQ(stream->request().response_nonce(), "n0");
  EXPECT_EQ(stream->request().type_url(), kListenerType);
  const auto begin = std::chrono::steady_clock::now();
  for (const std::string nonce : {"n1", "n2", "n3"}) {
    stream->send(response(kClusterType, "c1", nonce, badCluster("a")));
    const Request answer = stream->request();
    EXPECT_EQ(answer.response_nonce(), nonce);
    EXPECT_TRUE(answer.has_error_detail());
  }
  EXPECT_GE(std::chrono::steady_clock::now() - begin, 3 * milliseconds(200));
}

TEST_F(AdsClientPace, AnAnswerThatIsKeptBackHoldsUpNothingElse) {
  options_.repeatedRejectionWait = std::chrono::hours(1);
  ScriptedAdsServer server;
  startClient(server.address());
  const auto stream = server.stream();
  ASSERT_TRUE(stream);
  EXPECT_EQ(stream->request().type_url(), kClusterType);
  stream->send(response(kClusterType, "c1", "n1", badCluster("a")));
  EXPECT_EQ(stream->request().response_nonce(), "n1");
  EXPECT_EQ(stream->request().type_url(), kListenerType);
  stream->send(response(kClusterType, "c1", "n2", badCluster("a")));
  stream->send(response(kListenerType, "l1", "n3"));
  EXPECT_EQ(stream->request().response_nonce(), "n3") << "another type";
  stream->send(response(kClusterType, "c2", "n4", badCluster("a")));
  EXPECT_EQ(stream->request().response_nonce(), "n4") << "another version";
  stream->send(response(kClusterType, "c2", "n5", badCluster("a")));
  stream->send(response(kClusterType, "c2", "n6", edsCluster("a")));
  const Request accepted = stream->request();
  EXPECT_EQ(accepted.response_nonce(), "n6") << "what is good";
  EXPECT_FALSE(accepted.has_error_detail());
}

}  // namespace
}  // namespace sockmesh::testing
