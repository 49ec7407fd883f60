// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent_fixture.h"
#include "node_fixture.h"
#include "output.h"

namespace sockmesh::ctl {
namespace {

using test::noRoutes;

AgentRoutes someRoutes() {
  return {"127.0.0.1:15077", Json::parse(R"({"routes": [
    {"vip": "10.96.0.11", "port": 80, "protocol": "TCP", "service": "0.0.0.0_80/http:80",
     "source": "Domain", "listener": "0.0.0.0_80", "filterChain": "filter_chains[0]",
     "routeConfig": "80", "virtualHost": "http:80", "route": "routes[0] default",
     "clusters": [{"name": "v1", "weight": 90}, {"name": "v2", "weight": 10}],
     "hashSourceIp": false, "needsLayer7": ["retry_policy: a failed request is not sent again"]},
    {"vip": "fd00::1", "port": 9000, "protocol": "TCP", "service": "tcp", "source": "Address",
     "listener": "tcp", "filterChain": "filter_chains[0]", "routeConfig": "", "virtualHost": "",
     "route": "", "clusters": [{"name": "tcp", "weight": 1}], "hashSourceIp": true,
     "needsLayer7": []}],
   "leftOut": [
    {"name": "0.0.0.0_80", "reason": "wildcard address 0.0.0.0:80", "vips": [],
     "listener": "0.0.0.0_80", "filterChain": "", "routeConfig": "", "virtualHost": "",
     "route": ""},
    {"name": "0.0.0.0_80/api", "reason": "no route takes every request: needs layer 7",
     "vips": ["10.96.0.12:80"], "listener": "0.0.0.0_80", "filterChain": "filter_chains[0]",
     "routeConfig": "80", "virtualHost": "api", "route": ""}]})"),
          ""};
}

std::string shown(const Outcome& outcome, Format format = Format::kTable) {
  return test::shown(outcome, format);
}

TEST(RouteList, ShowsWhatMadeEachVipAndWhatWasLeftOut) {
  EXPECT_EQ(shown(routeList(someRoutes(), {})),
            R"(VIP              LISTENER     ROUTES   VIRTUAL HOST   CLUSTERS       LAYER 7
10.96.0.11:80    0.0.0.0_80   80       http:80        v1 90, v2 10   needed
[fd00::1]:9000   tcp          -        -              tcp            -

Left out: 2
  NAME             REASON
  0.0.0.0_80       wildcard address 0.0.0.0:80
  0.0.0.0_80/api   no route takes every request: needs layer 7
)");
}

TEST(RouteList, WideNamesChainRouteAndNeeds) {
  const std::string text = shown(routeList(someRoutes(), {}), Format::kWide);
  for (const char* part : {"filter_chains[0]", "routes[0] default", "retry_policy: a failed"}) {
    EXPECT_THAT(text, testing::HasSubstr(part));
  }
}

TEST(RouteList, FiltersByAddressAndPort) {
  RouteFilter filter;
  filter.vip = IpAddress::parse("10.96.0.12").value();
  const Outcome outcome = routeList(someRoutes(), filter);
  const auto& data = std::get<Document>(outcome).data;
  EXPECT_EQ(data["routes"].size(), 0U);
  ASSERT_EQ(data["leftOut"].size(), 1U);
  EXPECT_EQ(data["leftOut"][0]["name"], "0.0.0.0_80/api");
  filter = {};
  filter.port = 9000;
  EXPECT_EQ(std::get<Document>(routeList(someRoutes(), filter)).data["routes"][0]["service"],
            "tcp");
}

TEST(RouteList, NeedsTheAgent) {
  const Outcome outcome = routeList(noRoutes(), {});
  const auto* failure = std::get_if<Failure>(&outcome);
  ASSERT_NE(failure, nullptr);
  EXPECT_EQ(failure->exitCode, kExitUnavailable);
  EXPECT_THAT(failure->message, testing::HasSubstr("Connection refused"));
}

}  // namespace
}  // namespace sockmesh::ctl
