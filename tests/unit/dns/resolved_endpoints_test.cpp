// SPDX-License-Identifier: Apache-2.0
// What the addresses of names become.
#include "dns/resolved_endpoints.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sockmesh {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class Resolved : public ::testing::Test {
 protected:
  Resolved() {
    dns_.cluster = dns_.frame.clusterName = "c";
    dns_.family = DnsFamily::kAll;
    dns_.frame.localities.push_back({Locality{"r", "z1", ""}, 0, 3, {}});
    dns_.frame.localities.push_back({Locality{"r", "z2", ""}, 1, 0, {}});
  }
  DnsTarget& target(const std::string& name, std::size_t locality = 0, std::uint32_t weight = 1) {
    DnsTarget one;
    one.name = name;
    if (const auto ip = IpAddress::parse(name)) one.literal = *ip;
    one.port = 80;
    one.locality = locality;
    one.pattern.weight = weight;
    one.pattern.hostname = name;
    dns_.targets.push_back(one);
    if (!one.literal) names_.add("c", dns_.questionOf(one), {}, Nanos(0));
    return dns_.targets.back();
  }
  void answer(const std::string& name, const DnsAnswer& given) {
    const DnsQuestion question{name, dns_.family, {}};
    names_.takeDue(std::chrono::hours(++hour_));
    names_.answered(question, given, Nanos(0));
  }
  void answer(const std::string& name, const std::vector<std::string>& addresses) {
    std::vector<DnsAddress> all;
    for (const std::string& one : addresses) all.push_back({*IpAddress::parse(one), {}});
    answer(name, DnsAnswer(all));
  }
  // "address*weight" of a locality, with "|other" where there is one.
  std::vector<std::string> endpoints(std::size_t locality = 0) {
    std::vector<std::string> lines;
    const auto made = resolvedEndpoints(dns_, names_);
    if (!made) return {"waits"};
    for (const Endpoint& one : made->localities[locality].endpoints) {
      lines.push_back(one.address.toString() + "*" + std::to_string(one.weight) +
                      (one.otherAddress ? "|" + one.otherAddress->toString() : ""));
    }
    return lines;
  }

  DnsDiscovery dns_;
  NameSchedule names_{1};
  int hour_ = 0;
};

TEST_F(Resolved, EachAddressIsAnEndpointOfItsTarget) {
  target("a", 0, 2).pattern.health = EdsHealth::kDegraded;
  target("b", 1);
  answer("a", {"10.0.0.1", "10.0.0.2", "fd00::1"});
  EXPECT_THAT(endpoints(0), ElementsAre("10.0.0.1:80*2", "10.0.0.2:80*2", "[fd00::1]:80*2"))
      << "b is not waited for";
  answer("b", {"10.0.1.1"});
  EXPECT_THAT(endpoints(1), ElementsAre("10.0.1.1:80*1"));
  const auto made = resolvedEndpoints(dns_, names_);
  EXPECT_EQ(made->localities[1].priority, 1U);
  EXPECT_EQ(made->localities[0].weight, 3U);
  EXPECT_EQ(made->localities[0].endpoints[1].health, EdsHealth::kDegraded);
  EXPECT_EQ(*made->localities[0].endpoints[1].hostname, "a");
}

TEST_F(Resolved, WaitsUntilANameHasAnAddressOrAllHaveEnded) {
  target("a");
  target("b");
  EXPECT_THAT(endpoints(), ElementsAre("waits"));
  answer("a", Error("server failure"));
  EXPECT_THAT(endpoints(), ElementsAre("waits")) << "b may have one";
  EXPECT_FALSE(neverResolved(dns_, names_));
  answer("b", Error("server failure"));
  EXPECT_THAT(endpoints(), IsEmpty());
  EXPECT_TRUE(neverResolved(dns_, names_));
  answer("b", std::vector<std::string>{});
  EXPECT_FALSE(neverResolved(dns_, names_)) << "that b has no address is known";
  answer("b", {"10.0.0.1"});
  EXPECT_THAT(endpoints(), ElementsAre("10.0.0.1:80*1"));
}

TEST_F(Resolved, AClusterWithoutNamesDoesNotWait) {
  EXPECT_THAT(endpoints(), IsEmpty());
  target("10.0.0.9");
  EXPECT_THAT(endpoints(), ElementsAre("10.0.0.9:80*1"));
  EXPECT_FALSE(neverResolved(dns_, names_));
}

TEST_F(Resolved, AnAddressOfTwoTargetsHasTheSumOfTheirWeights) {
  target("a", 0, 2);
  target("b", 0, 3);
  target("d", 1, 5);
  answer("a", {"10.0.0.1", "10.0.0.2"});
  answer("b", {"10.0.0.2"});
  answer("d", {"10.0.0.2", "10.0.0.3"});
  EXPECT_THAT(endpoints(0), ElementsAre("10.0.0.1:80*2", "10.0.0.2:80*5"));
  EXPECT_THAT(endpoints(1), ElementsAre("10.0.0.3:80*5")) << "the first locality has it";
}

TEST_F(Resolved, ALogicalClusterHasTheFirstAddressAndKeepsItOverEmptyAnswers) {
  dns_.logical = true;
  target("a");
  answer("a", {"10.0.0.1", "fd00::1", "10.0.0.2"});
  EXPECT_THAT(endpoints(), ElementsAre("10.0.0.1:80*1|[fd00::1]:80"));
  answer("a", {"10.0.0.2", "10.0.0.1"});
  EXPECT_THAT(endpoints(), ElementsAre("10.0.0.2:80*1"));
  answer("a", std::vector<std::string>{});
  EXPECT_THAT(endpoints(), ElementsAre("10.0.0.2:80*1"));
  answer("a", Error("timeout"));
  EXPECT_THAT(endpoints(), ElementsAre("10.0.0.2:80*1"));
}

TEST_F(Resolved, AnEmptyAnswerTakesTheEndpointsOfItsTargetAlone) {
  target("a");
  target("b");
  answer("a", {"10.0.0.1"});
  answer("b", {"10.0.0.2"});
  answer("a", std::vector<std::string>{});
  EXPECT_THAT(endpoints(), ElementsAre("10.0.0.2:80*1"));
}

TEST_F(Resolved, AddressesThatNobodyReachesAreListedWithTheReason) {
  target("a");
  answer("a", {"224.0.0.1", "10.0.0.1"});
  const auto made = resolvedEndpoints(dns_, names_);
  EXPECT_THAT(made->unreachable, ElementsAre("224.0.0.1:80: a multicast address"));
}

TEST_F(Resolved, ARotatedAnswerMakesTheSameEndpoints) {
  target("a");
  answer("a", {"10.0.0.1", "10.0.0.2"});
  const auto before = resolvedEndpoints(dns_, names_);
  answer("a", {"10.0.0.2", "10.0.0.1"});
  EXPECT_TRUE(sameEndpoints(*before, *resolvedEndpoints(dns_, names_)));
  answer("a", {"10.0.0.2"});
  EXPECT_FALSE(sameEndpoints(*before, *resolvedEndpoints(dns_, names_)));
}

}  // namespace
}  // namespace sockmesh
