// SPDX-License-Identifier: Apache-2.0
#include "store/message_diff.h"

#include <gmock/gmock.h>

#include <google/protobuf/any.pb.h>

#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/endpoint/v3/endpoint.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy.pb.h"
#include "unit/decode/text_proto.h"

namespace sockmesh {
namespace {

using envoy::config::cluster::v3::Cluster;
using envoy::config::endpoint::v3::ClusterLoadAssignment;
using envoy::config::listener::v3::Listener;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// "path: from -> to"
std::vector<std::string> lines(const MessageDiff& diff) {
  std::vector<std::string> out;
  for (const FieldChange& one : diff.fields) {
    out.push_back(one.path + ": " + one.from.value_or("-") + " -> " + one.to.value_or("-"));
  }
  return out;
}

ClusterLoadAssignment assignmentOf(const std::vector<std::pair<int, int>>& hosts,
                                   const std::string& zone = "z") {
  ClusterLoadAssignment made;
  made.set_cluster_name("c");
  auto* group = made.add_endpoints();
  group->mutable_locality()->set_region("r");
  group->mutable_locality()->set_zone(zone);
  for (const auto& [last, weight] : hosts) {
    auto* endpoint = group->add_lb_endpoints();
    endpoint->mutable_load_balancing_weight()->set_value(weight);
    auto* address = endpoint->mutable_endpoint()->mutable_address()->mutable_socket_address();
    address->set_address("10.0.0." + std::to_string(last));
    address->set_port_value(80);
  }
  return made;
}

TEST(MessageDiff, ValuesThatCameWentAndChanged) {
  Cluster before, after;
  before.set_name("c");
  before.mutable_connect_timeout()->set_seconds(1);
  before.set_alt_stat_name("old");
  after.set_name("c");
  after.mutable_connect_timeout()->set_seconds(2);
  after.set_lb_policy(Cluster::MAGLEV);
  EXPECT_THAT(lines(diffMessages(before, after)),
              ElementsAre("connect_timeout: 1s -> 2s", "lb_policy: - -> MAGLEV",
                          "alt_stat_name: \"old\" -> -"));
  EXPECT_THAT(lines(diffMessages(before, before)), IsEmpty());
}

TEST(MessageDiff, EndpointsAreTheirAddressesAndNotTheirPlaces) {
  const auto diff =
      diffMessages(assignmentOf({{1, 5}, {2, 5}, {3, 5}}), assignmentOf({{4, 5}, {3, 5}, {1, 7}}));
  const std::string path = "endpoints[r/z/].lb_endpoints";
  ASSERT_THAT(diff.fields, SizeIs(3));
  EXPECT_EQ(diff.fields[0].path, path + "[10.0.0.1:80].load_balancing_weight");
  EXPECT_EQ(diff.fields[0].from, "5");
  EXPECT_EQ(diff.fields[0].to, "7");
  EXPECT_EQ(diff.fields[1].path, path + "[10.0.0.2:80]");
  EXPECT_TRUE(diff.fields[1].from);
  EXPECT_FALSE(diff.fields[1].to);
  EXPECT_EQ(diff.fields[2].path, path + "[10.0.0.4:80]");
  EXPECT_FALSE(diff.fields[2].from);
}

TEST(MessageDiff, AnotherLocalityIsAnotherElement) {
  const auto diff = diffMessages(assignmentOf({{1, 5}}, "a"), assignmentOf({{1, 5}}, "b"));
  ASSERT_THAT(diff.fields, SizeIs(2));
  EXPECT_EQ(diff.fields[0].path, "endpoints[r/a/]");
  EXPECT_EQ(diff.fields[1].path, "endpoints[r/b/]");
}

TEST(MessageDiff, AnotherOrderIsSaidInOneLine) {
  EXPECT_THAT(lines(diffMessages(assignmentOf({{1, 5}, {2, 5}}), assignmentOf({{2, 5}, {1, 5}}))),
              ElementsAre("endpoints[r/z/].lb_endpoints: 2 elements -> the same in another order"));
}

Listener listenerTo(const std::string& cluster) {
  Listener made;
  auto* filter = made.add_filter_chains()->add_filters();
  filter->set_name("tcp");
  envoy::extensions::filters::network::tcp_proxy::v3::TcpProxy proxy;
  proxy.set_cluster(cluster);
  filter->mutable_typed_config()->PackFrom(proxy);
  return made;
}

TEST(MessageDiff, LooksIntoAny) {
  EXPECT_THAT(lines(diffMessages(listenerTo("a"), listenerTo("b"))),
              ElementsAre("filter_chains[0].filters[tcp].typed_config.cluster: \"a\" -> \"b\""));
}

TEST(MessageDiff, OfAnUnknownTypeItTellsTheSize) {
  Listener before = listenerTo("a"), after = before;
  auto* any = after.mutable_filter_chains(0)->mutable_filters(0)->mutable_typed_config();
  any->set_type_url("type.googleapis.com/some.Other");
  const auto diff = diffMessages(before, after);
  ASSERT_THAT(diff.fields, SizeIs(1));
  EXPECT_EQ(diff.fields[0].to, "type.googleapis.com/some.Other, 3 bytes");
}

// Each is parsed by itself, so protobuf's limit of depth does not hold for all of them.
TEST(MessageDiff, AnyInAnyEndsNowhereDeep) {
  const auto nested = [](const std::string& inner) {
    Listener listener = listenerTo(inner);
    auto* any = listener.mutable_filter_chains(0)->mutable_filters(0)->mutable_typed_config();
    for (int i = 0; i < 2000; ++i) {
      google::protobuf::Any outer;
      outer.PackFrom(*any);
      any->Swap(&outer);
    }
    return listener;
  };
  const Listener before = nested("a");
  EXPECT_THAT(diffMessages(before, nested("b")).fields, SizeIs(1));
  EXPECT_THAT(diffMessages(before, Listener()).fields, SizeIs(1));
}

TEST(MessageDiff, IsBounded) {
  std::vector<std::pair<int, int>> many;
  for (int i = 0; i < 200; ++i) many.emplace_back(i, 1);
  const auto diff = diffMessages(assignmentOf({}), assignmentOf(many), 50);
  EXPECT_THAT(diff.fields, SizeIs(50));
  EXPECT_EQ(diff.more, 150U);
  Cluster before, after;
  after.set_alt_stat_name(std::string(100000, 'x'));
  EXPECT_LT(diffMessages(before, after).fields.at(0).to->size(), 250U);
}

// It is called for whatever changed, so it must not be quadratic.
TEST(MessageDiff, LongListsAreMatchedInOnePass) {
  ClusterLoadAssignment before, after;
  for (int i = 0; i < 100000; ++i) {
    auto* group = i % 1000 == 0 ? before.add_endpoints() : before.mutable_endpoints(i / 1000);
    group->mutable_locality()->set_zone(std::to_string(i / 1000));
    auto* address =
        group->add_lb_endpoints()->mutable_endpoint()->mutable_address()->mutable_socket_address();
    address->set_address(std::to_string(i));
  }
  after = before;
  for (auto& group : *after.mutable_endpoints()) group.mutable_lb_endpoints()->DeleteSubrange(0, 1);
  EXPECT_EQ(diffMessages(before, after).more, 50U);
}

}  // namespace
}  // namespace sockmesh
