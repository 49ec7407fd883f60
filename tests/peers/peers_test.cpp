// SPDX-License-Identifier: Apache-2.0
// The agent as the client of a control plane that was not written here: the go-control-plane
// library, with each of its caches and in both protocols. With real sockets.
#include <gmock/gmock.h>

#include <random>

#include "peers/peers_fixture.h"

namespace sockmesh::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string vip(std::size_t number) {
  return "10.96.0." + std::to_string(number) + ":80";
}

TEST_P(Peers, SpeaksTheProtocolThatItWasToldAndRejectsNothing) {
  start({{vip(1), {0}}, {vip(2), {0, 1, 2}}, {vip(3), {}}});
  const bool delta = std::get<1>(GetParam()) == "DELTA";
  EXPECT_THAT(peer().log(), HasSubstr(delta ? ": delta" : ": state of the world"));
  EXPECT_THAT(peer().log(), Not(HasSubstr(delta ? ": state of the world" : ": delta")));
  for (const char* type : {"CDS", "EDS", "LDS"}) {
    EXPECT_TRUE(peerSaid(std::string("ACK ") + type)) << type;
  }
  EXPECT_EQ(said("NACK"), 0U);
}

TEST_P(Peers, AddsChangesAndRemovals) {
  start({{vip(1), {0}}});
  const Services steps[] = {{{vip(1), {0}}, {vip(2), {1}}},                     // one more
                            {{vip(1), {0, 1}}, {vip(2), {1}}},                  // an endpoint more
                            {{vip(1), {2}}, {vip(2), {1}}},                     // other endpoints
                            {{vip(1), {}}, {vip(2), {1}}},                      // no endpoint
                            {{vip(2), {0}}},                                    // one less
                            {{vip(3), {0}}, {vip(4), {1}}, {vip(5), {2}}},      // all are others
                            {},                                                 // nothing
                            {{vip(1), {1}}, {vip(2), {2}}, {vip(3), {0, 2}}}};  // again
  for (const Services& step : steps) {
    offer(step);
    std::vector<std::string> gone;
    for (std::size_t i = 1; i <= 5; ++i) {
      if (!step.contains(vip(i))) gone.push_back(vip(i));
    }
    expectServed(step, gone);
    if (HasFatalFailure()) return;
  }
  EXPECT_EQ(said("NACK"), 0U);
}

TEST_P(Peers, AnyOrderOfManyChangesEndsInTheLastState) {
  start({});
  std::mt19937 random(7);
  Services services;
  for (int round = 0; round < 12; ++round) {
    // Several at once: some are never looked at by the agent.
    for (int step = 0; step < 4; ++step) {
      for (std::size_t i = 1; i <= 12; ++i) {
        if (random() % 3 != 0) continue;
        services.erase(vip(i));
        if (random() % 4 == 0) continue;
        std::vector<std::size_t>& hosts = services[vip(i)];
        for (std::size_t host = 0; host < hosts_.size(); ++host) {
          if (random() % 2 == 0) hosts.push_back(host);
        }
      }
      offer(services);
    }
    expectServed(services);
    if (HasFatalFailure()) return;
  }
  EXPECT_EQ(said("NACK"), 0U);
}

// What no agent can take, and the field that the NACK has to name.
struct Bad {
  const char* type;
  const char* field;
  std::string yaml;
};
std::vector<Bad> badResources() {
  return {{"CDS", "max_ejection_percent",
           R"(- "@type": type.googleapis.com/envoy.config.cluster.v3.Cluster
  name: bad
  type: EDS
  eds_cluster_config: { eds_config: { ads: {} } }
  outlier_detection: { max_ejection_percent: 101 }
)"},
          {"LDS", "address",
           R"(- "@type": type.googleapis.com/envoy.config.listener.v3.Listener
  name: bad
  filter_chains: [{ filters: [{ name: a, typed_config: {
    "@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, stat_prefix: s, cluster: c } }] }]
)"},
          {"EDS", "port_value",
           R"(- "@type": type.googleapis.com/envoy.config.cluster.v3.Cluster
  name: bad
  type: EDS
  eds_cluster_config: { eds_config: { ads: {} } }
- "@type": type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment
  cluster_name: bad
  endpoints: [{ lb_endpoints: [{ endpoint: { address: { socket_address: { address: 10.1.1.1, port_value: 70000 } } } }] }]
)"}};
}

TEST_P(Peers, ANackNamesTheFieldAndWhatIsGoodBesideItServes) {
  const Services before = {{vip(1), {0}}, {vip(2), {1}}};
  start(before);
  for (const Bad& bad : badResources()) {
    const Services good = {{vip(1), {2}}, {vip(2), {1}}, {vip(3), {0}}};
    const std::size_t seen = peer().log().size();
    offer(yamlOf(good, bad.yaml));
    expectServed(good);
    EXPECT_TRUE(peerSaid(std::string("NACK ") + bad.type, seen)) << bad.type;
    EXPECT_TRUE(peerSaid(bad.field, seen)) << bad.field << peer().log().substr(seen);
    const std::size_t cured = peer().log().size();
    offer(before);
    expectServed(before, {vip(3)});
    EXPECT_TRUE(peerSaid(std::string(": ACK ") + bad.type, cured)) << bad.type;
  }
  EXPECT_LT(said("NACK"), 50U) << "a loop of responses and rejections";
}

// A resource that was good becomes bad: its last good version stays, also while the server
// restarts.
TEST_P(Peers, TheLastGoodVersionOutlivesANackAndARestartOfTheServer) {
  start({{vip(1), {0}}, {vip(2), {1}}});
  std::string spoiled = yamlOf({{vip(1), {2}}, {vip(2), {1}}});
  const std::string port = at(hosts_[1]).toString().substr(hosts_[1].find(':') + 1);
  spoiled.replace(spoiled.rfind(port), port.size(), "70000");
  offer(spoiled);
  const Services expected = {{vip(1), {2}}, {vip(2), {1}}};
  expectServed(expected);
  EXPECT_TRUE(peerSaid("NACK EDS"));
  stopPeer();
  expectServed(expected);
  const std::size_t seen = mesh_->agent().log().size();
  startPeer();
  offer(spoiled);
  EXPECT_TRUE(
      eventually([&] { return mesh_->agent().log().find("connected", seen) != std::string::npos; },
                 std::chrono::seconds(30)));
  expectServed(expected);
  offer({{vip(1), {0}}, {vip(2), {2}}});
  expectServed({{vip(1), {0}}, {vip(2), {2}}});
}

TEST_P(Peers, AServerThatComesBackWithAnotherStateIsFollowed) {
  start({{vip(1), {0}}, {vip(2), {1}}, {vip(3), {2}}});
  for (std::size_t round = 0; round < 3; ++round) {
    stopPeer();
    expectServed({{vip(1), {round}}, {vip(2), {1}}, {vip(3), {2}}});
    startPeer();
    // The same, another one, one less and one more.
    const Services other = {{vip(2), {1}}, {vip(1), {(round + 1) % 3}}, {vip(4), {round}}};
    offer(other);
    expectServed(other, {vip(3)});
    const Services again = {{vip(1), {(round + 1) % 3}}, {vip(2), {1}}, {vip(3), {2}}};
    offer(again);
    expectServed(again, {vip(4)});
    if (HasFatalFailure()) return;
  }
  EXPECT_EQ(said("NACK"), 0U);
}

// The stream ends in the middle of what belongs together, each time at another place.
TEST_P(Peers, StreamsThatTheServerEndsLoseNothing) {
  startPeer({"--requests-per-stream", "10"});
  offer(Services{{vip(1), {0}}});
  startAgent();
  ASSERT_TRUE(mesh_->ready()) << mesh_->agent().log();
  std::size_t i = 2;
  for (; said(": over") < 3 && i < 200; ++i) {
    const Services services = {{vip(1), {0}}, {vip(i), {i % 3}}, {vip(i + 1), {0, 1}}};
    offer(services);
    expectServed(services);
    if (HasFatalFailure()) return;
  }
  EXPECT_LT(i, 200U) << "no stream was ended";
  EXPECT_EQ(said("NACK"), 0U);
}

TEST_P(Peers, AnAgentThatComesBackTakesWhatChangedMeanwhile) {
  start({{vip(1), {0}}, {vip(2), {1}}});
  mesh_->killAgent();
  offer(Services{{vip(1), {0}}, {vip(3), {2}}});
  expectServed({{vip(1), {0}}, {vip(2), {1}}});
  startAgent();
  ASSERT_TRUE(mesh_->ready()) << mesh_->agent().log();
  expectServed({{vip(1), {0}}, {vip(3), {2}}}, {vip(2)});
}

// A listener whose route configuration is a resource of its own.
std::string httpYaml(const std::string& cluster) {
  return R"(- "@type": type.googleapis.com/envoy.config.listener.v3.Listener
  name: http
  address: { socket_address: { address: 10.96.0.9, port_value: 80 } }
  filter_chains:
  - filters:
    - name: http
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
        stat_prefix: s
        rds: { route_config_name: routes, config_source: { ads: {} } }
- "@type": type.googleapis.com/envoy.config.route.v3.RouteConfiguration
  name: routes
  virtual_hosts: [{ name: all, domains: ["*"], routes: [{ match: { prefix: "/" }, route: { cluster: ")" +
         cluster + "\" } }] }]\n";
}

TEST_P(Peers, RoutesAreFollowed) {
  const Services services = {{vip(1), {0}}, {vip(2), {1}}};
  start(services);
  for (const std::size_t to : {1U, 2U, 1U}) {
    offer(yamlOf(services, httpYaml("of " + vip(to))));
    Services expected = services;
    expected["10.96.0.9:80"] = {to - 1};
    expectServed(expected);
    EXPECT_TRUE(peerSaid(": ACK RDS"));
  }
  offer(services);
  expectServed(services, {"10.96.0.9:80"});
  EXPECT_EQ(said("NACK"), 0U);
}

const char* const kAskForWorkloads = "istio: { workloads: true }\n";

// The snapshot cache says nothing of a type that it does not know. The linear ones end the stream.
TEST_P(Peers, ATypeThatTheyDoNotKnowDisturbsNothing) {
  const bool endsTheStream = GetParam() == PeerKind{"linear", "DELTA"};
  startPeer();
  offer({{vip(1), {0}}});
  startAgent(kAskForWorkloads);
  ASSERT_TRUE(mesh_->ready()) << mesh_->agent().log();
  if (endsTheStream) {
    EXPECT_TRUE(mesh_->agent().awaitLog("WDS the last stream ended before it was answered"));
  }
  for (const Services& step : {Services{{vip(1), {1}}, {vip(2), {0}}}, Services{{vip(2), {2}}}}) {
    offer(step);
    expectServed(step);
    if (HasFatalFailure()) return;
  }
  EXPECT_LE(said(": over"), endsTheStream ? 1U : 0U);
  EXPECT_EQ(said("NACK"), 0U);
}

// The one cache of the library that can have resources of any type speaks delta.
class PeersWithWorkloads : public Peers {
 protected:
  // A pod on the address of hosts_[0], 127.0.1.1.
  static std::string pod(const std::string& name) {
    return "- \"@type\": type.googleapis.com/istio.workload.Address\n  workload: { uid: "
           "c//Pod/shop/" +
           name + ", name: " + name + ", namespace: shop, node: n1, addresses: [fwABAQ==] }\n";
  }
  bool lists(const std::string& text) {
    return eventually([&] {
      return run({binary("sockmeshctl"), "--bpffs-root", sandbox_->bpffs(), "endpoint", "list"})
                 .output.find(text) != std::string::npos;
    });
  }
};

TEST_P(PeersWithWorkloads, EndpointsHaveTheirNames) {
  startPeer({"--workloads"});
  const Services services = {{vip(1), {0}}, {vip(2), {1}}};
  offer(yamlOf(services, pod("cart-1")));
  startAgent(kAskForWorkloads);
  ASSERT_TRUE(mesh_->ready()) << mesh_->agent().log();
  expectServed(services);
  EXPECT_TRUE(lists("shop/cart-1   n1"));
  offer(yamlOf(services, pod("cart-2")));
  EXPECT_TRUE(lists("shop/cart-2   n1")) << "the one came and the other went";
  mesh_->killAgent();
  startAgent(kAskForWorkloads);
  EXPECT_TRUE(lists("shop/cart-2   n1"));
  offer(services);
  EXPECT_TRUE(eventually([&] {
    return run({binary("sockmeshctl"), "--bpffs-root", sandbox_->bpffs(), "endpoint", "list"})
               .output.find("shop/") == std::string::npos;
  })) << "removed workloads vanish";
  expectServed(services);
  EXPECT_TRUE(peerSaid(": ACK WDS"));
  EXPECT_EQ(said("NACK"), 0U);
}

INSTANTIATE_TEST_SUITE_P(GoControlPlane, PeersWithWorkloads,
                         ::testing::Values(PeerKind{"linear", "DELTA"}), [](const auto& kind) {
                           return std::get<0>(kind.param) + "_" + std::get<1>(kind.param);
                         });

INSTANTIATE_TEST_SUITE_P(GoControlPlane, Peers,
                         ::testing::Combine(::testing::Values("snapshot", "linear"),
                                            ::testing::Values("SOTW", "DELTA")),
                         [](const auto& kind) {
                           return std::get<0>(kind.param) + "_" + std::get<1>(kind.param);
                         });

}  // namespace
}  // namespace sockmesh::test
