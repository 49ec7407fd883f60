// SPDX-License-Identifier: Apache-2.0
// istiod's workload API on the same stream: what it adds, and that nothing depends on it.
#include <gmock/gmock.h>

#include "delta_responses.h"
#include "istio/workload/workload.pb.h"

namespace sockmesh {
namespace {

using namespace testing;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

const std::string kFour("\x0a\x01\x00\x05", 4);                    // 10.1.0.5
const std::string kSix = "\xfd" + std::string(14, '\0') + "\x05";  // fd00::5

istio::workload::Address pod(const std::string& name, const std::vector<std::string>& addresses,
                             const std::string& node = "n1") {
  istio::workload::Address address;
  auto* workload = address.mutable_workload();
  workload->set_uid("c//Pod/shop/" + name);
  workload->set_name(name);
  workload->set_namespace_("shop");
  workload->set_node(node);
  for (const std::string& bytes : addresses) workload->add_addresses(bytes);
  return address;
}

void add(DeltaResponse& response, const std::string& name,
         const istio::workload::Address& address) {
  auto* resource = response.add_resources();
  resource->set_name(name);
  resource->set_version("v" + response.nonce());
  resource->mutable_resource()->PackFrom(address);
}

const Workload* at(const Snapshot& snapshot, const std::string& ip) {
  const auto found = snapshot.workloads.find(IpAddress::parse(ip).value());
  return found == snapshot.workloads.end() ? nullptr : found->second.get();
}

const XdsTypeStats& last(const XdsStats& stats) {
  return stats.types.back();
}

class Workloads : public DeltaClientTest {
 protected:
  Workloads() { store_.useWorkloads(); }

  // The first request for workloads of a stream that has just come up.
  DeltaRequest asked(ScriptedAdsServer::DeltaStream& stream) {
    bringUpDelta(stream);
    DeltaRequest request = stream.request();
    EXPECT_EQ(request.type_url(), kWorkloadType);
    return request;
  }
};

TEST_F(Workloads, AreAskedForAfterTheListenersAndNamedByAddress) {
  const auto stream = connect();
  const DeltaRequest request = asked(*stream);
  EXPECT_THAT(addedNames(request), IsEmpty()) << "a wildcard";
  ASSERT_TRUE(snapshot([](const Snapshot& s) { return s.complete; }));
  DeltaResponse all = deltaResponse(kWorkloadType, "4", {});
  add(all, "c//Pod/shop/cart-1", pod("cart-1", {kFour, kSix}));
  istio::workload::Address service;
  service.mutable_service()->set_hostname("cart.shop.svc");
  add(all, "shop/cart.shop.svc", service);
  stream->send(all);
  EXPECT_EQ(stream->request().response_nonce(), "4");
  const auto named = snapshot([](const Snapshot& s) { return s.workloads.size() == 2; });
  ASSERT_TRUE(named);
  for (const char* ip : {"10.1.0.5", "fd00::5"}) {
    ASSERT_NE(at(*named, ip), nullptr) << ip;
    EXPECT_EQ(at(*named, ip)->name, "cart-1");
    EXPECT_EQ(at(*named, ip)->space, "shop");
    EXPECT_EQ(at(*named, ip)->node, "n1");
  }
  EXPECT_TRUE(named->complete);
  EXPECT_TRUE(named->changed.empty()) << "nothing is compiled for a name";

  DeltaResponse moved = deltaResponse(kWorkloadType, "5", {});
  add(moved, "c//Pod/shop/cart-1", pod("cart-1", {kSix}, "n2"));
  stream->send(moved);
  const auto changed = snapshot([](const Snapshot& s) { return s.workloads.size() == 1; });
  ASSERT_TRUE(changed);
  EXPECT_EQ(at(*changed, "fd00::5")->node, "n2");

  stream->send(deltaResponse(kWorkloadType, "6", {"c//Pod/shop/cart-1"}));
  EXPECT_TRUE(snapshot([](const Snapshot& s) { return s.workloads.empty(); }));
}

TEST_F(Workloads, ThatShareAnAddressHaveWhatTheyAgreeOn) {
  const auto stream = connect();
  asked(*stream);
  DeltaResponse all = deltaResponse(kWorkloadType, "4", {});
  add(all, "a", pod("a", {kFour}));
  add(all, "b", pod("b", {kFour}));
  stream->send(all);
  const auto shared = snapshot([](const Snapshot& s) { return s.workloads.size() == 1; });
  ASSERT_TRUE(shared);
  EXPECT_EQ(at(*shared, "10.1.0.5")->name, "");
  EXPECT_EQ(at(*shared, "10.1.0.5")->space, "shop");
  EXPECT_EQ(at(*shared, "10.1.0.5")->node, "n1");
  stream->send(deltaResponse(kWorkloadType, "5", {"a"}));
  EXPECT_TRUE(snapshot([](const Snapshot& s) { return at(s, "10.1.0.5")->name == "b"; }));
}

TEST_F(Workloads, ABadAddressIsNackedWithItsPath) {
  const auto stream = connect();
  asked(*stream);
  DeltaResponse all = deltaResponse(kWorkloadType, "4", {});
  add(all, "good", pod("good", {kFour}));
  add(all, "bad", pod("bad", {kFour, "12345"}));
  stream->send(all);
  const DeltaRequest nack = stream->request();
  EXPECT_THAT(nack.error_detail().message(),
              HasSubstr("bad: workload.addresses[1]: has 5 bytes, and an IP address has 4 or 16"));
  EXPECT_TRUE(snapshot([](const Snapshot& s) { return s.workloads.size() == 1; }));
}

TEST_F(Workloads, AServerThatDoesNotAnswerDisturbsNothing) {
  const auto stream = connect();
  asked(*stream);
  ASSERT_TRUE(snapshot([](const Snapshot& s) { return s.complete; }));
  stream->send(deltaResponse(kClusterType, "5", {}, edsCluster("b")));
  EXPECT_EQ(stream->request().response_nonce(), "5");
  const XdsStats after = stats([](const XdsStats& s) { return s.types[0].resources == 2; });
  EXPECT_EQ(last(after).type, "WDS");
  EXPECT_EQ(last(after).awaited, 0U);
  EXPECT_EQ(last(after).note, "");
}

TEST_F(Workloads, AServerThatEndsTheStreamIsNotAskedAgainForAWhile) {
  const auto stream = connect();
  asked(*stream);
  stream->finish({grpc::StatusCode::INVALID_ARGUMENT, "no such type"});
  const auto second = server_.deltaStream();
  ASSERT_TRUE(second);
  second->send(deltaResponse(kClusterType, "5", {}, edsCluster("b")));
  for (DeltaRequest request = second->request(); request.response_nonce() != "5";
       request = second->request()) {
    ASSERT_NE(request.type_url(), "");
    EXPECT_NE(request.type_url(), kWorkloadType);
  }
  const XdsStats after = stats([](const XdsStats& s) { return s.types[0].resources == 2; });
  EXPECT_THAT(last(after).note, HasSubstr("it rests for 60 s"));
}

TEST_F(Workloads, AreAskedForAgainAfterTheirRest) {
  options_.unansweredRest = milliseconds(50);
  const auto stream = connect();
  asked(*stream);
  stream->finish({grpc::StatusCode::INVALID_ARGUMENT, "no such type"});
  const auto second = server_.deltaStream();
  ASSERT_TRUE(second);
  for (int requests = 0; requests < 10; ++requests) {
    const DeltaRequest request = second->request();
    if (request.type_url() == kWorkloadType) return;
  }
  FAIL() << "workloads were not asked for";
}

TEST_F(Workloads, AfterALossTheServerLearnsWhatIsHeld) {
  const auto stream = connect();
  asked(*stream);
  DeltaResponse all = deltaResponse(kWorkloadType, "4", {});
  add(all, "a", pod("a", {kFour}));
  stream->send(all);
  EXPECT_EQ(stream->request().response_nonce(), "4");
  stream->finish({grpc::StatusCode::UNAVAILABLE, "restart"});
  const auto second = server_.deltaStream();
  ASSERT_TRUE(second);
  for (int requests = 0; requests < 10; ++requests) {
    const DeltaRequest request = second->request();
    if (request.type_url() != kWorkloadType) continue;
    EXPECT_THAT(request.initial_resource_versions(), ElementsAre(Pair("a", "v4")));
    return;
  }
  FAIL() << "workloads were not asked for";
}

TEST_F(Workloads, WhatIsTooMuchToTellComesAgain) {
  const auto stream = connect();
  asked(*stream);
  DeltaResponse all = deltaResponse(kWorkloadType, "4", {});
  for (int i = 0; i < 40; ++i) {
    add(all, std::to_string(i) + std::string(100'000, 'x'), pod("a", {kFour}));
  }
  stream->send(all);
  EXPECT_EQ(stream->request().response_nonce(), "4");
  ASSERT_TRUE(snapshot([](const Snapshot& s) { return s.workloadResources == 40; }));
  stream->finish({grpc::StatusCode::UNAVAILABLE, "restart"});
  const auto second = server_.deltaStream();
  ASSERT_TRUE(second);
  DeltaRequest request = second->request();
  while (request.type_url() != kWorkloadType && !HasFailure()) request = second->request();
  EXPECT_THAT(request.initial_resource_versions(), IsEmpty());
  EXPECT_TRUE(snapshot([](const Snapshot& s) { return s.workloads.empty(); }));
}

TEST_F(Workloads, TheStateOfTheWorldIsNotAskedForThem) {
  server_.speakDelta(false);
  startClient(server_.address());
  const auto stream = server_.stream();
  ASSERT_TRUE(stream);
  bringUp(*stream);
  stream->send(response(kClusterType, "c2", "n4", edsCluster("a"), edsCluster("b")));
  EXPECT_EQ(stream->request().response_nonce(), "n4");
  const XdsStats after = stats([](const XdsStats& s) { return s.types[0].resources == 2; });
  EXPECT_THAT(last(after).note, HasSubstr("needs the delta protocol"));
}

TEST_F(Workloads, VanishWhereTheServerSpeaksDeltaNoMore) {
  const auto stream = connect();
  asked(*stream);
  DeltaResponse all = deltaResponse(kWorkloadType, "4", {});
  add(all, "a", pod("a", {kFour}));
  stream->send(all);
  ASSERT_TRUE(snapshot([](const Snapshot& s) { return s.workloads.size() == 1; }));
  server_.speakDelta(false);
  stream->finish({grpc::StatusCode::UNAVAILABLE, "another server"});
  ASSERT_TRUE(server_.stream());
  EXPECT_TRUE(snapshot([](const Snapshot& s) { return s.workloads.empty(); }));
}

TEST_F(Workloads, HaveALimit) {
  store_.limit({.resources = 1});
  const auto stream = connect();
  asked(*stream);
  DeltaResponse all = deltaResponse(kWorkloadType, "4", {});
  add(all, "a", pod("a", {kFour}));
  add(all, "b", pod("b", {kSix}));
  stream->send(all);
  EXPECT_THAT(stream->request().error_detail().message(),
              HasSubstr("b: would make 2 resources of its type, and limits.max_resources is 1"));
}

TEST_F(DeltaClientTest, WithoutTheSettingNobodyAsksForWorkloads) {
  const auto stream = connect();
  bringUpDelta(*stream);
  stream->send(deltaResponse(kClusterType, "5", {}, edsCluster("b")));
  EXPECT_EQ(stream->request().response_nonce(), "5");
  const XdsStats after = stats([](const XdsStats& s) { return s.types[0].resources == 2; });
  EXPECT_NE(last(after).type, "WDS");
}

}  // namespace
}  // namespace sockmesh
