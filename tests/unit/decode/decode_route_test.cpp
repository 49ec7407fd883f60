// SPDX-License-Identifier: Apache-2.0
// Route configurations: the catch-all of each virtual host, and what needs a request beside it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "decode/decode.h"
#include "unit/decode/route_resources.h"

namespace sockmesh {
namespace {

using namespace xds_test;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

VirtualHost hostOf(const std::string& domains, const std::string& content) {
  const auto decoded = decodeRouteConfig(routes("r", host("h", domains, content)));
  EXPECT_TRUE(decoded.ok()) << errorOf(decoded);
  return decoded.ok() ? (*decoded)->virtualHosts.at(0) : VirtualHost{};
}

std::vector<std::string> needsOf(const std::string& content) {
  return hostOf("'*'", content).needsLayer7;
}

TEST(DecodeRoute, DomainsThatAreAddresses) {
  const VirtualHost found = hostOf(
      "'web.example', '10.0.0.1', '10.0.0.2:8080', '[fd00::1]', '[fd00::2]:81', '*'", routeTo("c"));
  std::vector<std::string> texts;
  for (const SocketAddress& one : found.addresses) texts.push_back(one.toString());
  EXPECT_THAT(texts, ElementsAre("10.0.0.1:0", "10.0.0.2:8080", "[fd00::1]:0", "[fd00::2]:81"));
  EXPECT_TRUE(found.anyDomain);
}

TEST(DecodeRoute, TheCatchAllCountsWhereverItStands) {
  const VirtualHost found = hostOf(
      "'*'",
      "routes { match { prefix: '/v2' headers { name: 'x-user' present_match: true } } route { "
      "cluster: 'v2' } } routes { name: 'default' match { prefix: '/' } route { "
      "cluster: 'v1' } } " +
          routeTo("never"));
  ASSERT_EQ(found.target.clusters.size(), 1U);
  EXPECT_EQ(found.target.clusters[0].name, "v1");
  EXPECT_EQ(found.route, "routes[1] default");
  EXPECT_THAT(found.needsLayer7,
              ElementsAre("routes[0]: requests with prefix /v2, header x-user go to v2"));
}

TEST(DecodeRoute, AConditionThatChangesNothingNeedsNothing) {
  EXPECT_THAT(
      needsOf("routes { match { path: '/healthz' } route { cluster: 'c' } } " + routeTo("c")),
      IsEmpty());
}

TEST(DecodeRoute, ASplitKeepsItsWeights) {
  const VirtualHost found = hostOf(
      "'*'",
      "routes { match { prefix: '/' } route { weighted_clusters { clusters { name: 'a' weight { "
      "value: 90 } } clusters { name: 'b' weight { value: 10 } } clusters { name: 'off' weight { "
      "value: 0 } } } hash_policy { connection_properties { source_ip: true } } } }");
  ASSERT_EQ(found.target.clusters.size(), 2U);
  EXPECT_EQ(found.target.clusters[0].weight, 90U);
  EXPECT_EQ(found.target.clusters[1].name, "b");
  EXPECT_TRUE(found.target.hashSourceIp);
  EXPECT_THAT(found.needsLayer7, IsEmpty());
}

TEST(DecodeRoute, SaysWhatNeedsARequest) {
  EXPECT_THAT(needsOf(routeTo("c",
                              "timeout { seconds: 3 } retry_policy { num_retries: { value: 2 "
                              "} } request_mirror_policies { cluster: 'm' } hash_policy { "
                              "header { header_name: 'x-user' } }")),
              ElementsAre("timeout: requests are not timed",
                          "retry_policy: a failed request is not sent again",
                          "request_mirror_policies: requests are not copied",
                          "hash_policy: header x-user is not known at connect()"));
  EXPECT_THAT(needsOf(routeTo("c", "timeout { seconds: 0 }")), IsEmpty()) << "no timeout";
  EXPECT_THAT(needsOf("routes { match { prefix: '/' } route { cluster: 'c' } "
                      "typed_per_filter_config { key: 'envoy.filters.http.fault' value {} } }"),
              ElementsAre(HasSubstr("envoy.filters.http.fault is not applied")));
  EXPECT_THAT(needsOf(routeTo("c") + "retry_policy {}"), ElementsAre(HasSubstr("retry_policy")));
}

struct LeftAloneCase {
  const char* content;
  const char* why;
};
class LeavesHostAlone : public ::testing::TestWithParam<LeftAloneCase> {};

TEST_P(LeavesHostAlone, AVirtualHostThatNoConnectCanFollow) {
  EXPECT_THAT(hostOf("'10.0.0.1'", GetParam().content).leftAlone, HasSubstr(GetParam().why));
}

INSTANTIATE_TEST_SUITE_P(
    DecodeRoute, LeavesHostAlone,
    ::testing::Values(
        LeftAloneCase{"", "no route takes every request"},
        LeftAloneCase{"routes { match { prefix: '/api' } route { cluster: 'c' } }",
                      "no route takes every request"},
        LeftAloneCase{"routes { match { prefix: '/' runtime_fraction { default_value { numerator: "
                      "50 } } } route { cluster: 'c' } }",
                      "no route takes every request"},
        LeftAloneCase{"routes { match { prefix: '/' } redirect {} }", "redirects requests"},
        LeftAloneCase{"routes { match { prefix: '/' } direct_response { status: 503 } }",
                      "answers requests without a cluster"},
        LeftAloneCase{"routes { match { prefix: '/' } route { cluster_header: 'x' } }",
                      "lets header x name the cluster"},
        LeftAloneCase{"require_tls: ALL routes { match { prefix: '/' } route { cluster: 'c' } }",
                      "redirects requests to HTTPS"}));

TEST(DecodeRoute, NamesEveryErrorByItsPath) {
  const auto decoded = decodeRouteConfig(
      routes("r", host("", "'a', 'A'",
                       "routes { route { cluster: '' } } routes { match { prefix: '/' } } "
                       "routes { match { prefix: '/' } route { weighted_clusters { clusters { "
                       "name: 'a' } } } }") +
                      host("h", "", routeTo("c"))));
  for (const char* error :
       {"virtual_hosts[0].name: must not be empty", "virtual_hosts[0].domains[1]: 'a' is there",
        "virtual_hosts[0].routes[0].match.path_specifier: is required",
        "virtual_hosts[0].routes[0].route.cluster: must not be empty",
        "virtual_hosts[0].routes[1].action: is required",
        "virtual_hosts[0].routes[2].route.weighted_clusters.clusters: the sum",
        "virtual_hosts[1].domains: must not be empty"}) {
    EXPECT_THAT(errorOf(decoded), HasSubstr(error));
  }
}

}  // namespace
}  // namespace sockmesh
