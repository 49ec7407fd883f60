// SPDX-License-Identifier: Apache-2.0
// `sockmeshctl explain` against the kernel: whole command lines over real maps with no agent
// running, and the endpoints that real connections of bound clients then reach.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "support/datapath_test.h"
#include "tools/sockmeshctl/cli.h"
#include "unit/lb/build.h"

namespace sockmesh::test {
namespace {

using nlohmann::json;

constexpr const char* kVip6 = "[fd00::1]:80";

class Explain : public DatapathTest {
 protected:
  void SetUp() override {
    DatapathTest::SetUp();
    port_ = at("0.0.0.0:0");
    listener_ = std::move(listenOn(port_)).value();
  }

  // Hosts `first`, ... of which some are healthy, at addresses where `listener_` hears them.
  LocalityEndpoints hosts(int first, int count, int healthy, std::uint32_t priority = 0) const {
    LocalityEndpoints made = locality("a", 0, first, count, healthy, priority);
    for (int i = 0; i < count; ++i) {
      const auto low = static_cast<std::uint8_t>(first + i);
      made.endpoints[static_cast<std::size_t>(i)].address = {IpAddress::v4({127, 0, 1, low}),
                                                             port_.port};
    }
    return made;
  }

  void apply(const std::vector<Leg>& legs) {
    SnapshotBuilder builder;
    std::vector<WeightedCluster> route;
    for (const Leg& leg : legs) {
      builder.put(leg.cluster, leg.assignment);
      route.push_back({leg.cluster.name, leg.weight, {}});
    }
    builder.listen("l", {kVip, kVip6}, route, true);
    Compiler compiler{CompilerOptions{}};
    const auto tables = compiler.compile(builder.snapshot(), {}, std::chrono::seconds(1));
    ASSERT_TRUE(writer_->apply(tables).errors.empty());
  }

  json explain(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "explain");
    arguments.insert(arguments.end(), {"--bpffs-root", sandbox_->bpffs(), "--admin-address",
                                       "127.0.0.1:1", "-o", "json"});
    std::ostringstream out;
    std::ostringstream err;
    EXPECT_EQ(ctl::runCli(arguments, out, err), 0) << err.str();
    return json::parse(out.str(), nullptr, false);
  }

  static SocketAddress addressOf(const json& choice) {
    return {IpAddress::parse(choice["address"].get<std::string>()).value(),
            choice["port"].get<std::uint16_t>()};
  }

  // Where the kernel sends a client that is bound to `source`.
  SocketAddress reachedFrom(const std::string& source) {
    const UniqueFd client = tcpSocket();
    sockaddr_in name{};
    name.sin_family = AF_INET;
    EXPECT_EQ(inet_pton(AF_INET, source.c_str(), &name.sin_addr), 1);
    EXPECT_EQ(bind(client.get(), reinterpret_cast<sockaddr*>(&name), sizeof(name)), 0);
    EXPECT_EQ(connectErrno(client.get(), at(kVip)), 0);
    return acceptedAt(listener_);
  }

  // Checks that clients of many addresses go where `explain` says. Returns the number of endpoints
  // that they reach.
  std::size_t expectSourcesAsExplained() {
    std::set<SocketAddress> reached;
    for (int i = 0; i < 80; ++i) {
      const std::string source = "127." + std::to_string(i) + ".7." + std::to_string(200 - i);
      const json choices = explain({kVip, "--source", source})["source"]["choices"];
      EXPECT_EQ(choices.size(), 1U) << choices;
      if (choices.size() != 1) break;
      const SocketAddress there = reachedFrom(source);
      EXPECT_EQ(there, addressOf(choices[0])) << source;
      reached.insert(there);
    }
    return reached.size();
  }

  SocketAddress port_;
  UniqueFd listener_;
};

TEST_F(Explain, NamesTheEndpointThatMaglevAndRingHashChooseForASource) {
  for (const LbPolicy policy : {LbPolicy::kMaglev, LbPolicy::kRingHash}) {
    apply({{cluster("c", policy), assignment({hosts(1, 5, 5)}), 1, {}}});
    EXPECT_EQ(explain({kVip})["hashSourceIp"], true);
    EXPECT_GE(expectSourcesAsExplained(), 4U);
    // An unbound IPv6 client of a namespace without an interface hashes as ::1.
    const json choices = explain({kVip6, "--source", "::1"})["source"]["choices"];
    const UniqueFd client = tcpSocket(true);
    EXPECT_EQ(connectErrno(client.get(), at(kVip6)), 0);
    EXPECT_EQ(acceptedAt(listener_), addressOf(choices[0]));
  }
}

// Half of priority 0 is unhealthy, so 30% of hashes go to priority 1: the hash also chooses the
// group.
TEST_F(Explain, FollowsTheHashThroughPriorities) {
  const auto given = assignment({hosts(1, 4, 2, 0), hosts(11, 4, 4, 1)});
  apply({{cluster("c", LbPolicy::kMaglev), given, 1, {}}});
  const json shown = explain({kVip});
  ASSERT_EQ(shown["groups"].size(), 3U) << shown["groups"];
  EXPECT_EQ(shown["groups"][0]["policy"], "BY_HASH");
  EXPECT_NEAR(shown["groups"][1]["percent"].get<double>(), 70, 1e-9);
  EXPECT_NEAR(shown["groups"][2]["percent"].get<double>(), 30, 1e-9);
  EXPECT_GE(expectSourcesAsExplained(), 5U);
}

TEST_F(Explain, InATrafficSplitASourceReachesOneOfTheChoices) {
  apply({{cluster("a", LbPolicy::kMaglev), assignment({hosts(1, 3, 3)}), 3, {}},
         {cluster("b", LbPolicy::kRingHash), assignment({hosts(11, 3, 3)}), 1, {}}});
  const std::string source = "127.9.9.9";
  const json choices = explain({kVip, "--source", source})["source"]["choices"];
  ASSERT_EQ(choices.size(), 2U);
  EXPECT_NEAR(choices[0]["percent"].get<double>(), 75, 1e-6);
  std::map<SocketAddress, int> reached;
  for (int i = 0; i < 60; ++i) ++reached[reachedFrom(source)];
  EXPECT_EQ(reached.size(), 2U);
  for (const json& choice : choices) EXPECT_GT(reached[addressOf(choice)], 0) << choice;
}

// The shares of `explain` are the counts of round robin, which has no randomness.
TEST_F(Explain, ItsSharesAreWhatHappens) {
  LocalityEndpoints weighted = hosts(1, 3, 2);
  weighted.endpoints[0].weight = 3;
  apply({{cluster("c"), assignment({weighted}), 1, {}}});
  std::vector<UniqueFd> open;
  std::map<SocketAddress, int> reached;
  for (int i = 0; i < 8; ++i) {
    open.push_back(std::move(connectTo(at(kVip))).value());
    ++reached[acceptedAt(listener_)];
  }
  const json shown = explain({kVip});
  EXPECT_EQ(shown["verdict"], "is rewritten to one of 2 endpoints");
  EXPECT_EQ(shown["warnings"], json::array());
  ASSERT_EQ(shown["endpoints"].size(), 3U);
  for (const json& endpoint : shown["endpoints"]) {
    EXPECT_NEAR(endpoint["percent"].get<double>(), 100.0 * reached[addressOf(endpoint)] / 8, 1e-9);
    EXPECT_EQ(endpoint["active"], reached[addressOf(endpoint)]) << "they are still open";
  }
  EXPECT_EQ(shown["endpoints"][2]["health"], "UNHEALTHY");
}

}  // namespace
}  // namespace sockmesh::test
