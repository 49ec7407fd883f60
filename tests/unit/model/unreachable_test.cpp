// SPDX-License-Identifier: Apache-2.0
// Endpoints that no connection reaches, by name.
#include "model/unreachable.h"

#include <gtest/gtest.h>

namespace sockmesh {
namespace {

SocketAddress at(const std::string& text) {
  return SocketAddress::parse(text).value();
}

TEST(Unreachable, SaysWhy) {
  for (const char* good : {"10.0.0.1:80", "127.0.0.1:80", "[fd00::1]:80", "[::1]:80",
                           "240.0.0.1:80", "[fec0::1]:80"}) {
    EXPECT_EQ(whyUnreachable(at(good)), "") << good;
  }
  EXPECT_EQ(whyUnreachable(at("0.0.0.0:80")),
            "no host's address: the kernel connects the client to itself");
  EXPECT_EQ(whyUnreachable(at("[::]:80")), whyUnreachable(at("0.0.0.0:80")));
  for (const char* multicast : {"224.0.0.1:80", "239.255.255.255:80", "[ff02::1]:80"}) {
    EXPECT_EQ(whyUnreachable(at(multicast)), "a multicast address") << multicast;
  }
  EXPECT_EQ(whyUnreachable(at("255.255.255.255:80")), "the broadcast address");
  EXPECT_EQ(whyUnreachable(at("[fe80::1]:80")), "a link-local address without its zone");
  EXPECT_EQ(whyUnreachable(at("[febf::1]:80")), "a link-local address without its zone");
  EXPECT_EQ(whyUnreachable(at("10.0.0.1:0")), "port 0");
}

TEST(Unreachable, NamesEndpointsOfASnapshotWithTheVipsAmongThem) {
  Snapshot snapshot;
  auto assignment = std::make_shared<LoadAssignment>();
  assignment->localities.emplace_back();
  for (const char* one : {"10.0.0.1:80", "10.96.0.1:80", "10.96.0.1:81", "224.0.0.1:80"}) {
    assignment->localities[0].endpoints.emplace_back().address = at(one);
  }
  assignment->localities[0].endpoints[0].otherAddress = at("[ff02::1]:80");
  auto cluster = std::make_shared<Cluster>();
  cluster->name = "c";
  cluster->edsName = "c";
  auto listener = std::make_shared<Listener>();
  listener->addresses = {at("10.96.0.1:80")};
  snapshot.clusters["c"] = cluster;
  snapshot.assignments["c"] = assignment;
  snapshot.listeners["web"] = listener;
  std::vector<std::string> texts;
  for (const auto& one : unreachableEndpoints(snapshot)) texts.push_back(one.text());
  EXPECT_EQ(texts,
            (std::vector<std::string>{
                "endpoint [ff02::1]:80 of cluster c cannot be reached: a multicast address",
                "endpoint 10.96.0.1:80 of cluster c cannot be reached: the VIP of service web, to "
                "which connections are not balanced again",
                "endpoint 224.0.0.1:80 of cluster c cannot be reached: a multicast address"}));
}

}  // namespace
}  // namespace sockmesh
