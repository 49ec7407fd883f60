// SPDX-License-Identifier: Apache-2.0
// A listener and its routes: which VIPs there are, where each leads, and what is left out.
#include "decode/listener_parts.h"

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
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

class Parts : public ::testing::Test {
 protected:
  void know(const RouteProto& proto) {
    const auto decoded = decodeRouteConfig(proto);
    ASSERT_TRUE(decoded.ok()) << errorOf(decoded);
    routes_[proto.name()] = *decoded;
  }
  void take(const ListenerProto& proto) {
    const auto decoded = decodeListener(proto);
    ASSERT_TRUE(decoded.ok()) << errorOf(decoded);
    for (ListenerPart& part : partsOf(
             **decoded,
             [&](const std::string& name) {
               const auto found = routes_.find(name);
               return found == routes_.end() ? nullptr : found->second;
             },
             &names_, resolves_ ? &services_ : nullptr)) {
      if (part.vips) {
        vips_[part.name] = part.vips;
      } else {
        leftAlone_[part.name] = part.leftAlone->reason;
        for (const Vip& hole : part.leftAlone->holes) holes_[part.name].push_back(hole.toString());
      }
    }
  }
  // "VIP -> clusters", of all parts.
  std::vector<std::string> all() const {
    std::vector<std::string> lines;
    for (const auto& [name, part] : vips_) {
      std::string clusters;
      for (const auto& leg : part->route.clusters) {
        clusters += " " + *leg.name + (leg.weight > 1 ? " " + std::to_string(leg.weight) : "");
      }
      for (const auto& vip : part->addresses) lines.push_back(vip.toString() + " ->" + clusters);
    }
    return lines;
  }

  std::map<std::string, std::shared_ptr<const RouteConfig>> routes_;
  NameTable names_;
  NameTable resolved_;
  bool resolves_ = false;  // services without a VIP have the addresses of their names
  ServiceNames services_{resolved_};
  std::map<std::string, std::shared_ptr<const Listener>> vips_;
  std::map<std::string, std::string> leftAlone_;
  std::map<std::string, std::vector<std::string>> holes_;
};

TEST_F(Parts, AServiceWithoutAVipHasTheAddressesOfItsName) {
  resolves_ = true;
  resolved_["a.example"] = {*IpAddress::parse("10.9.0.1"), *IpAddress::parse("fd00::9")};
  const std::string cluster = "outbound|7075||a.example";
  take(listenerTo({cluster}, "0.0.0.0_7075", "0.0.0.0"));
  EXPECT_THAT(services_.wanted, ElementsAre("a.example"));
  EXPECT_THAT(all(),
              UnorderedElementsAre("10.9.0.1:80 -> " + cluster, "[fd00::9]:80 -> " + cluster));
  EXPECT_EQ(vips_.at("0.0.0.0_7075/a.example")->source, VipSource::kResolved);
}

TEST_F(Parts, OnlyServicesWithoutAVipAreWantedByName) {
  resolves_ = true;
  resolved_["b.example"] = {*IpAddress::parse("10.9.0.2")};
  know(routes("80", host("a.example:80", "'a.example', '10.0.0.1'", routeTo("a")) +
                        host("b.example:80", "'b.example'", routeTo("b")) +
                        host("any", "'*'", routeTo("PassthroughCluster"))));
  take(httpListener("0.0.0.0_80", 80, "80"));
  EXPECT_THAT(services_.wanted, ElementsAre("b.example"));
  EXPECT_THAT(all(), UnorderedElementsAre("10.0.0.1:80 -> a", "10.9.0.2:80 -> b"));
  take(listenerTo({"outbound|80||*.example"}, "wild", "0.0.0.0"));
  take(listenerTo({"outbound|80||c.example", "outbound|80||d.example"}, "two", "0.0.0.0"));
  take(listenerTo({"PassthroughCluster"}, "other", "0.0.0.0"));
  EXPECT_THAT(services_.wanted, ElementsAre("b.example")) << "these have no name, or several";
}

TEST_F(Parts, VirtualHostsBehindAWildcardMakeVipsOfTheirAddresses) {
  know(routes("80", host("a:80", "'a.example', '10.0.0.1', '[fd00::1]'", routeTo("a")) +
                        host("b:80", "'b.example', '10.0.0.2:80', '10.0.0.9:81'", routeTo("b")) +
                        host("names", "'c.example'", routeTo("c")) +
                        host("any", "'*'", routeTo("PassthroughCluster"))));
  take(httpListener("0.0.0.0_80", 80, "80"));
  EXPECT_THAT(all(),
              UnorderedElementsAre("10.0.0.1:80 -> a", "[fd00::1]:80 -> a", "10.0.0.2:80 -> b"));
  EXPECT_EQ(vips_.at("0.0.0.0_80/a:80")->source, VipSource::kDomain);
  const Origin origin = vips_.at("0.0.0.0_80/a:80")->origin;
  EXPECT_EQ(origin, (Origin{"0.0.0.0_80", "filter_chains[0]", "80", "a:80", "routes[0]"}));
  EXPECT_THAT(leftAlone_,
              UnorderedElementsAre(Pair("0.0.0.0_80", HasSubstr("wildcard address 0.0.0.0:80")),
                                   Pair("0.0.0.0_80/names", "no domain is an address"),
                                   Pair("0.0.0.0_80/any", "leads to PassthroughCluster")));
}

// istiod's routes name one address of a ServiceEntry with several.
TEST_F(Parts, TheNameTableAddsAddressesOfAVirtualHost) {
  names_ = {
      {"a.example", {IpAddress::parse("10.0.0.1").value(), IpAddress::parse("10.0.0.2").value()}},
      {"headless.example", {IpAddress::parse("10.244.0.1").value()}}};
  know(routes("80", host("a:80", "'a.example', '10.0.0.2'", routeTo("a")) +
                        host("h:80", "'headless.example'", routeTo("h"))));
  take(httpListener("w", 80, "80"));
  EXPECT_THAT(all(), UnorderedElementsAre("10.0.0.1:80 -> a", "10.0.0.2:80 -> a"));
  EXPECT_EQ(vips_.at("w/a:80/names")->source, VipSource::kNameTable);
}

TEST_F(Parts, AVirtualHostWithoutACatchAllIsLeftAlone) {
  know(routes("80",
              host("a", "'10.0.0.1'", "routes { match { prefix: '/x' } route { cluster: 'a' } }")));
  take(httpListener("l", 80, "80"));
  EXPECT_THAT(all(), IsEmpty());
  EXPECT_THAT(leftAlone_["l/a"], HasSubstr("no route takes every request"));
}

TEST_F(Parts, AnAutoDetectedPortLeadsToTheTcpProxy) {
  know(routes("r", host("web", "'*'", routeTo("canary"))));
  take(listenerOf("10.0.0.1_80", "10.0.0.1", 80,
                  chainOf(kHttpMatch, managerOf(rdsSpecifier("r"))) + "default_filter_chain { " +
                      proxyTo("plain") + "}"));
  EXPECT_THAT(all(), ElementsAre("10.0.0.1:80 -> plain"));
  EXPECT_THAT(vips_.at("10.0.0.1_80")->needsLayer7,
              ElementsAre("filter_chains[0]: connections that speak HTTP go to canary"));
}

TEST_F(Parts, AnHttpListenerOfOneAddressTakesTheHostThatIsKnownWithoutARequest) {
  const auto at = [&](const std::string& hosts) {
    vips_.clear();
    leftAlone_.clear();
    know(routes("r", hosts));
    take(listenerOf("l", "10.0.0.1", 80, chainOf("", managerOf(rdsSpecifier("r")))));
    return all();
  };
  EXPECT_THAT(at(host("a", "'x'", routeTo("a"))), ElementsAre("10.0.0.1:80 -> a"))
      << "the only one";
  EXPECT_THAT(at(host("a", "'x'", routeTo("a")) + host("b", "'10.0.0.1'", routeTo("b"))),
              ElementsAre("10.0.0.1:80 -> b"));
  EXPECT_THAT(at(host("a", "'x'", routeTo("a")) + host("b", "'*'", routeTo("b"))),
              ElementsAre("10.0.0.1:80 -> b"));
  EXPECT_THAT(vips_.at("l")->needsLayer7, ElementsAre(HasSubstr("the Host header selects")));
  EXPECT_THAT(at(host("a", "'x'", routeTo("a")) + host("b", "'y'", routeTo("b"))), IsEmpty());
  EXPECT_THAT(leftAlone_["l"], HasSubstr("the Host header selects the virtual host"));
}

TEST_F(Parts, InlineRoutesNeedNoOtherResource) {
  take(listenerOf(
      "l", "0.0.0.0", 80,
      chainOf("", managerOf("route_config { " + host("a", "'10.0.0.1'", routeTo("a")) + "}"))));
  EXPECT_THAT(all(), ElementsAre("10.0.0.1:80 -> a"));
}

TEST_F(Parts, PrefixesAreVips) {
  take(listenerOf(
      "0.0.0.0_90", "0.0.0.0", 90,
      chainOf("prefix_ranges { address_prefix: '10.0.0.1' prefix_len { value: 32 } } "
              "prefix_ranges { address_prefix: '10.0.0.2' prefix_len { value: 32 } }",
              proxyTo("a")) +
          chainOf("prefix_ranges { address_prefix: 'fd00::1' prefix_len { value: 128 } }",
                  proxyTo("b")) +
          chainOf("prefix_ranges { address_prefix: '10.0.0.3' prefix_len { value: 32 } } "
                  "destination_port { value: 91 }",
                  proxyTo("c")) +
          chainOf("prefix_ranges { address_prefix: '10.3.0.0' prefix_len { value: 16 } }",
                  proxyTo("d")) +
          chainOf("", proxyTo("e"))));
  EXPECT_THAT(all(), UnorderedElementsAre("10.0.0.1:90 -> a", "10.0.0.2:90 -> a",
                                          "[fd00::1]:90 -> b", "10.3.0.0/16:90 -> d"));
  EXPECT_EQ(vips_.at("0.0.0.0_90/filter_chains[0]")->source, VipSource::kPrefix);
  EXPECT_THAT(leftAlone_["0.0.0.0_90"], HasSubstr("range 10.0.0.3/32: names no port"));
}

std::string prefixes(const std::vector<std::pair<std::string, int>>& all) {
  std::string text;
  for (const auto& [address, length] : all) {
    text += "prefix_ranges { address_prefix: '" + address +
            "' prefix_len { value: " + std::to_string(length) + " } } ";
  }
  return text;
}

TEST_F(Parts, EachRangeLeadsWhereEnvoysLongestPrefixLeads) {
  take(listenerOf("l", "0.0.0.0", 90,
                  chainOf(prefixes({{"10.1.0.0", 16}, {"fd00::", 32}}), proxyTo("wide")) +
                      chainOf(prefixes({{"10.1.0.0", 24}}), proxyTo("narrow")) +
                      chainOf(prefixes({{"10.1.0.0", 32}}), proxyTo("one"))));
  EXPECT_THAT(all(), UnorderedElementsAre("10.1.0.0/16:90 -> wide", "[fd00::/32]:90 -> wide",
                                          "10.1.0.0/24:90 -> narrow", "10.1.0.0:90 -> one"));
}

TEST_F(Parts, ARangeThatLeadsToNoServiceIsAHole) {
  take(listenerOf("l", "0.0.0.0", 90,
                  chainOf(prefixes({{"10.1.0.0", 16}}), proxyTo("a")) +
                      chainOf(prefixes({{"10.1.2.0", 24}}), proxyTo("PassthroughCluster"))));
  EXPECT_THAT(all(), ElementsAre("10.1.0.0/16:90 -> a"));
  EXPECT_THAT(leftAlone_["l"], HasSubstr("leads to PassthroughCluster"));
  EXPECT_THAT(holes_["l"], ElementsAre("10.1.2.0/24:90"));
}

TEST_F(Parts, ARangeOfAllAddressesIsAWildcard) {
  take(
      listenerOf("l", "0.0.0.0", 90, chainOf(prefixes({{"0.0.0.0", 0}, {"::", 0}}), proxyTo("a"))));
  EXPECT_THAT(all(), IsEmpty());
  EXPECT_THAT(leftAlone_["l"], HasSubstr("range 0.0.0.0/0 port 90: a wildcard"));
  EXPECT_THAT(holes_["l"], IsEmpty());
}

TEST_F(Parts, WhereTheDestinationIsRestoredTheChainNamesThePort) {
  take(listenerOf(
      "l", "0.0.0.0", 15001,
      "listener_filters { name: 'o' typed_config { [type.googleapis.com/envoy.extensions.filters."
      "listener.original_dst.v3.OriginalDst] {} } } " +
          chainOf("prefix_ranges { address_prefix: '10.0.0.1' prefix_len { value: 32 } } "
                  "destination_port { value: 80 }",
                  proxyTo("a"))));
  EXPECT_THAT(all(), ElementsAre("10.0.0.1:80 -> a"));
}

TEST_F(Parts, AWildcardWithoutAddressesIsNeverAVip) {
  take(listenerOf("0.0.0.0_91", "0.0.0.0", 91, chainOf("", proxyTo("a"))));
  EXPECT_THAT(all(), IsEmpty());
  EXPECT_THAT(leftAlone_["0.0.0.0_91"], HasSubstr("wildcard address 0.0.0.0:91"));
}

TEST_F(Parts, AddressesThatMeetDifferentChainsAreDifferentParts) {
  take(listenerOf(
      "l", "10.0.0.1", 80,
      "additional_addresses { address { socket_address { address: 'fd00::1' port_value: 80 } } } " +
          chainOf("prefix_ranges { address_prefix: 'fd00::1' prefix_len { value: 128 } }",
                  proxyTo("six")) +
          chainOf("", proxyTo("four"))));
  EXPECT_THAT(all(), UnorderedElementsAre("10.0.0.1:80 -> four", "[fd00::1]:80 -> six"));
  EXPECT_TRUE(vips_.contains("l"));
  EXPECT_TRUE(vips_.contains("l/filter_chains[0]"));
}

TEST_F(Parts, AFilterThatDecidesOverRequestsLeavesTheChainAlone) {
  know(routes("80", host("a", "'10.0.0.1'", routeTo("a"))));
  take(listenerOf("l", "0.0.0.0", 80,
                  chainOf("", managerOf(rdsSpecifier("80") + "http_filters { name: "
                                                             "'envoy.filters.http.rbac' }"))));
  EXPECT_THAT(all(), IsEmpty());
}

}  // namespace
}  // namespace sockmesh
