// SPDX-License-Identifier: Apache-2.0
// DNS clusters between the store and a resolver that the test plays.
#include "sources/dns_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "decode/type_urls.h"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/service/discovery/v3/discovery.pb.h"
#include "protojson/yaml_json.h"

namespace sockmesh {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

class FakeResolver final : public NameResolver {
 public:
  using Open = std::vector<std::pair<std::string, std::function<void(DnsAnswer)>>>;
  explicit FakeResolver(Open& open) : open_(open) {}
  void resolve(const DnsQuestion& question, std::function<void(DnsAnswer)> done) override {
    open_.emplace_back(question.name, std::move(done));
  }

 private:
  Open& open_;
};

std::string clusterYaml(const std::string& name, const std::vector<std::string>& hosts,
                        const std::string& fields = "") {
  std::string endpoints;
  for (const std::string& host : hosts) {
    endpoints +=
        "{endpoint: {address: {socket_address: {address: \"" + host + "\", port_value: 80}}}}, ";
  }
  return "{\"@type\": type.googleapis.com/envoy.config.cluster.v3.Cluster, name: " + name +
         ", type: STRICT_DNS, " + fields + " load_assignment: {cluster_name: " + name +
         ", endpoints: [{lb_endpoints: [" + endpoints + "]}]}}";
}

class DnsSourceTest : public ::testing::Test {
 protected:
  // All clusters there are. Whether the snapshot changed.
  bool clusters(const std::vector<std::string>& all) { return resources(kClusterType, all); }
  bool listeners(const std::vector<std::string>& all) { return resources(kListenerType, all); }
  static std::string wildcardYaml(const std::string& cluster) {
    return "{\"@type\": type.googleapis.com/envoy.config.listener.v3.Listener, name: '" + cluster +
           "', address: {socket_address: {address: 0.0.0.0, port_value: 7075}}, filter_chains: "
           "[{filters: [{name: t, typed_config: {\"@type\": "
           "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, "
           "stat_prefix: s, cluster: '" +
           cluster + "'}}]}]}";
  }
  std::vector<std::string> vips() const {
    std::vector<std::string> all;
    for (const auto& [name, listener] : store_.snapshot()->listeners) {
      for (const Vip& vip : listener->addresses) all.push_back(vip.toString());
    }
    return all;
  }
  bool resources(std::string_view typeUrl, const std::vector<std::string>& all) {
    std::string yaml = "resources:\n";
    for (const std::string& one : all) yaml += "- " + one + "\n";
    envoy::service::discovery::v3::DiscoveryResponse response;
    EXPECT_TRUE(parseYamlOrJson(all.empty() ? "resources: []" : yaml, response));
    response.set_type_url(std::string(typeUrl));
    response.set_version_info(std::to_string(++version_));
    const ApplyResult result = store_.apply(updateOf(response));
    EXPECT_TRUE(result.ok()) << result.message();
    return source_.sync() || result.changed;
  }
  // The names that are asked for.
  std::vector<std::string> asked() const {
    std::vector<std::string> names;
    for (const auto& [name, done] : open_) names.push_back(name);
    return names;
  }
  // Whether the answer changed the snapshot.
  bool answer(const std::string& name, const DnsAnswer& given) {
    const auto found = std::ranges::find(open_, name, &FakeResolver::Open::value_type::first);
    if (found == open_.end()) {
      ADD_FAILURE() << name << " was not asked for";
      return false;
    }
    const auto done = found->second;
    open_.erase(found);
    news_ = 0;
    done(given);
    return news_ > 0 && source_.sync();
  }
  bool answer(const std::string& name, const std::vector<std::string>& addresses) {
    std::vector<DnsAddress> all;
    for (const std::string& one : addresses) all.push_back({*IpAddress::parse(one), {}});
    return answer(name, DnsAnswer(all));
  }
  // Of the cluster in force; "unknown" while its endpoints are.
  std::vector<std::string> endpointsOf(const std::string& cluster) const {
    const auto snapshot = store_.snapshot();
    const auto found = snapshot->clusters.find(cluster);
    if (found == snapshot->clusters.end()) return {"no cluster"};
    const auto assignment = snapshot->assignmentOf(*found->second);
    if (!assignment) return {"unknown"};
    std::vector<std::string> addresses;
    for (const LocalityEndpoints& one : assignment->localities) {
      for (const Endpoint& endpoint : one.endpoints) {
        addresses.push_back(endpoint.address.ip.toString());
      }
    }
    return addresses;
  }
  std::set<std::string> unknown() const {
    Unknowns unknowns;
    source_.addUnknown(unknowns);
    return unknowns.clusters;
  }

  std::unique_ptr<EventLoop> loop_ = std::move(EventLoop::create()).value();
  ResourceStore store_;
  FakeResolver::Open open_;
  int news_ = 0;
  int version_ = 0;
  DnsSource source_{*loop_,
                    store_,
                    std::make_unique<FakeResolver>(open_),
                    {.onNews = [this] { ++news_; }, .onStats = [] {}}};
};

TEST_F(DnsSourceTest, AClusterIsUnknownUntilItsNameIsResolved) {
  clusters({clusterYaml("c", {"a.example"})});
  EXPECT_THAT(asked(), ElementsAre("a.example"));
  EXPECT_THAT(endpointsOf("c"), ElementsAre("unknown"));
  EXPECT_TRUE(answer("a.example", {"10.0.0.1", "10.0.0.2"}));
  EXPECT_THAT(endpointsOf("c"), ElementsAre("10.0.0.1", "10.0.0.2"));
  EXPECT_EQ(source_.stats().answered, 1U);
  EXPECT_EQ(source_.stats().names, 1U);
}

TEST_F(DnsSourceTest, AClusterOfAddressesNeedsNoAnswer) {
  clusters({clusterYaml("c", {"10.0.0.9"})});
  EXPECT_THAT(endpointsOf("c"), ElementsAre("10.0.0.9"));
  EXPECT_THAT(asked(), IsEmpty());
}

TEST_F(DnsSourceTest, AReplacementServesWhenItsNamesAreResolved) {
  clusters({clusterYaml("c", {"a.example"})});
  answer("a.example", {"10.0.0.1"});
  clusters({clusterYaml("c", {"b.example"})});
  EXPECT_THAT(endpointsOf("c"), ElementsAre("10.0.0.1"));
  ASSERT_EQ(store_.snapshot()->held.size(), 1U);
  EXPECT_EQ(store_.snapshot()->held[0].why,
            "its newest version waits for the endpoints of its DNS names");
  answer("b.example", {"10.0.0.2"});
  EXPECT_THAT(endpointsOf("c"), ElementsAre("10.0.0.2"));
  EXPECT_EQ(source_.stats().names, 1U) << "the earlier name is asked for no more";
  EXPECT_EQ(store_.snapshot()->assignments.size(), 1U);
}

TEST_F(DnsSourceTest, AChangeOfOtherFieldsKeepsTheEndpointsAndAsksNothing) {
  clusters({clusterYaml("c", {"a.example"})});
  answer("a.example", {"10.0.0.1"});
  clusters({clusterYaml("c", {"a.example"}, "connect_timeout: 9s,")});
  EXPECT_THAT(endpointsOf("c"), ElementsAre("10.0.0.1"));
  EXPECT_EQ(store_.snapshot()->clusters.at("c")->connectTimeout, std::chrono::seconds(9));
  EXPECT_THAT(asked(), IsEmpty());
}

TEST_F(DnsSourceTest, ClustersShareAName) {
  clusters({clusterYaml("c", {"a.example"}), clusterYaml("d", {"a.example", "b.example"})});
  EXPECT_THAT(asked(), ElementsAre("a.example", "b.example"));
  answer("a.example", {"10.0.0.1"});
  EXPECT_THAT(endpointsOf("c"), ElementsAre("10.0.0.1"));
  EXPECT_THAT(endpointsOf("d"), ElementsAre("10.0.0.1"));
  // Another one has it at once.
  clusters({clusterYaml("c", {"a.example"}), clusterYaml("d", {"a.example", "b.example"}),
            clusterYaml("e", {"a.example"})});
  EXPECT_THAT(endpointsOf("e"), ElementsAre("10.0.0.1"));
}

TEST_F(DnsSourceTest, AFirstFailureEndsTheWaitAndTheClusterIsUnknown) {
  clusters({clusterYaml("c", {"a.example"})});
  EXPECT_THAT(unknown(), IsEmpty());
  EXPECT_TRUE(answer("a.example", Error("server failure")));
  EXPECT_THAT(endpointsOf("c"), IsEmpty());
  EXPECT_THAT(unknown(), ElementsAre("c")) << "the kernel may have its endpoints";
  EXPECT_THAT(source_.stats().problems, ElementsAre(Pair("a.example", "server failure")));
  clusters({});
  EXPECT_THAT(unknown(), IsEmpty());
  EXPECT_THAT(source_.stats().problems, IsEmpty());
}

TEST_F(DnsSourceTest, WithoutAWaitTheClusterReplacesAtOnce) {
  clusters({clusterYaml("c", {"a.example"})});
  answer("a.example", {"10.0.0.1"});
  clusters({clusterYaml("c", {"b.example"}, "wait_for_warm_on_init: false,")});
  EXPECT_THAT(endpointsOf("c"), ElementsAre("unknown"));
}

TEST_F(DnsSourceTest, TheNameOfAServiceWithoutAVipBringsItsVips) {
  store_.resolveServices();
  const std::string cluster = clusterYaml("'outbound|7075||a.example'", {"a.example"});
  listeners({wildcardYaml("outbound|7075||a.example"), wildcardYaml("outbound|7075||eds.example")});
  EXPECT_THAT(asked(), IsEmpty()) << "no DNS cluster is theirs";
  clusters({cluster});
  EXPECT_THAT(asked(), ElementsAre("a.example")) << "one question for endpoints and VIPs";
  answer("a.example", {"10.0.0.1", "10.0.0.2"});
  EXPECT_THAT(vips(), ElementsAre("10.0.0.1:7075", "10.0.0.2:7075"));
  EXPECT_THAT(endpointsOf("outbound|7075||a.example"), ElementsAre("10.0.0.1", "10.0.0.2"));
  listeners({});
  EXPECT_THAT(vips(), IsEmpty());
  EXPECT_EQ(source_.stats().names, 1U) << "the cluster's";
}

TEST_F(DnsSourceTest, WithoutTheSwitchThereAreNoVips) {
  listeners({wildcardYaml("outbound|7075||a.example")});
  clusters({clusterYaml("'outbound|7075||a.example'", {"a.example"})});
  answer("a.example", {"10.0.0.1"});
  EXPECT_THAT(vips(), IsEmpty());
}

TEST_F(DnsSourceTest, ARemovedClusterTakesItsNamesAlong) {
  clusters({clusterYaml("c", {"a.example"})});
  answer("a.example", {"10.0.0.1"});
  clusters({});
  EXPECT_EQ(source_.stats().names, 0U);
  EXPECT_THAT(store_.snapshot()->assignments, IsEmpty());
}

}  // namespace
}  // namespace sockmesh
