// SPDX-License-Identifier: Apache-2.0
// What exceeds a limit is rejected by name; its last good version and all others stay.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/decode/resources.h"
#include "unit/store/missing.h"

namespace sockmesh {
namespace {

using namespace xds_test;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Limits : public ::testing::Test {
 protected:
  ApplyResult apply(const DiscoveryResponse& response) { return store_.apply(updateOf(response)); }
  std::vector<std::string> clusters() { return namesOf(store_.snapshot()->clusters); }
  static AssignmentProto endpoints(const std::string& name, int count) {
    AssignmentProto proto = assignment(name, 1);
    auto* group = proto.mutable_endpoints(0);
    for (int i = 1; i < count; ++i) {
      *group->add_lb_endpoints() = group->lb_endpoints(0);
      group->mutable_lb_endpoints(i)
          ->mutable_endpoint()
          ->mutable_address()
          ->mutable_socket_address()
          ->set_port_value(static_cast<std::uint32_t>(i + 1));
    }
    return proto;
  }

  ResourceStore store_;
};

TEST_F(Limits, OfResourcesOfAType) {
  store_.limit({.resources = 2});
  const ApplyResult result = apply(cds(edsCluster("a"), edsCluster("b"), edsCluster("c")));
  EXPECT_EQ(result.message(),
            "c: would make 3 resources of its type, and limits.max_resources is 2");
  EXPECT_THAT(clusters(), ElementsAre("a", "b"));
  EXPECT_TRUE(apply(cds(edsCluster("a", 9), edsCluster("b"))).ok()) << "a change needs no room";
  EXPECT_TRUE(apply(lds(listener("l"))).ok()) << "another type has its own";
  apply(cds(edsCluster("b")));
  EXPECT_TRUE(apply(cds(edsCluster("b"), edsCluster("c"))).ok()) << "there is room again";
}

TEST_F(Limits, OfEndpointsOfAllAssignments) {
  store_.limit({.endpoints = 5});
  apply(cds(edsCluster("a"), edsCluster("b")));
  EXPECT_TRUE(apply(eds(endpoints("a", 2), endpoints("b", 3))).ok());
  EXPECT_EQ(apply(eds(endpoints("a", 3))).message(),
            "a: would make 6 endpoints, and limits.max_endpoints is 5");
  EXPECT_EQ(store_.snapshot()->assignments.at("a")->localities[0].endpoints.size(), 2U);
  EXPECT_TRUE(apply(eds(endpoints("b", 1), endpoints("a", 4))).ok());
  apply(cds(edsCluster("b")));
  EXPECT_TRUE(apply(eds(endpoints("b", 5))).ok()) << "those of a went with their cluster";
}

TEST_F(Limits, OfBytesOfAResource) {
  store_.limit({.resourceBytes = 200});
  const ApplyResult result = apply(cds(edsCluster("a"), edsCluster(std::string(300, 'x'))));
  EXPECT_THAT(result.message(), HasSubstr(" bytes, and limits.max_resource_bytes is 200"));
  EXPECT_THAT(clusters(), ElementsAre("a"));
}

TEST_F(Limits, OfEndpointsInClusters) {
  store_.limit({.endpoints = 2});
  ClusterProto fixed;
  fixed.set_name("s");
  *fixed.mutable_load_assignment() = endpoints("s", 3);
  EXPECT_EQ(apply(cds(fixed, edsCluster("a"))).message(),
            "s: would make 3 endpoints, and limits.max_endpoints is 2");
  EXPECT_THAT(clusters(), ElementsAre("a"));
}

// A cluster whose metadata is a struct in a struct, `depth` times.
ClusterProto nested(const std::string& name, int depth) {
  ClusterProto cluster = edsCluster(name);
  auto* fields = (*cluster.mutable_metadata()->mutable_filter_metadata())["x"].mutable_fields();
  for (int i = 0; i < depth; ++i) fields = (*fields)["x"].mutable_struct_value()->mutable_fields();
  (*fields)["x"].set_bool_value(true);
  return cluster;
}

TEST_F(Limits, OfNesting) {
  store_.limit({.nesting = 20});
  EXPECT_EQ(apply(cds(nested("a", 20), nested("b", 1))).message(),
            "a: resources[0]: is nested deeper than limits.max_nesting, which is 20");
  EXPECT_THAT(clusters(), ElementsAre("b"));
  store_.limit({.nesting = 200});
  EXPECT_TRUE(apply(cds(nested("a", 40))).ok()) << "deeper than by default";
}

TEST_F(Limits, OfNestingByDefault) {
  EXPECT_TRUE(apply(cds(nested("a", 20))).ok());
  EXPECT_EQ(apply(cds(nested("a", 40))).message(),
            "a: resources[0]: is nested deeper than limits.max_nesting, which is 100");
  EXPECT_THAT(clusters(), ElementsAre("a")) << "the last good version stays";
}

class DnsLimits : public Limits {
 protected:
  static ClusterProto dnsCluster(const std::string& name) {
    ClusterProto cluster;
    cluster.set_name(name);
    cluster.set_type(ClusterProto::STRICT_DNS);
    *cluster.mutable_load_assignment() = endpoints(name, 1);
    cluster.mutable_load_assignment()
        ->mutable_endpoints(0)
        ->mutable_lb_endpoints(0)
        ->mutable_endpoint()
        ->mutable_address()
        ->mutable_socket_address()
        ->set_address(name + ".example");
    return cluster;
  }
  // What the names of the cluster bring; why not, or "".
  std::string resolve(const std::string& cluster, std::size_t addresses) {
    for (const auto& [name, discovery] : store_.takeDnsChanges()) {
      if (discovery) names_[discovery->cluster] = name;
    }
    auto found = std::make_shared<LoadAssignment>();
    found->localities.emplace_back().endpoints.resize(addresses);
    const auto set = store_.setResolved(names_.at(cluster), std::move(found));
    return set ? "" : set.error().message();
  }
  std::size_t endpointsOf(const std::string& cluster) {
    const auto snapshot = store_.snapshot();
    return snapshot->assignmentOf(*snapshot->clusters.at(cluster))->endpointCount();
  }
  std::map<std::string, std::string> names_;  // of the endpoints, by cluster
};

TEST_F(DnsLimits, CountWhatNamesBring) {
  store_.limit({.endpoints = 5});
  apply(cds(dnsCluster("a"), dnsCluster("b")));
  EXPECT_EQ(resolve("a", 2), "");
  EXPECT_EQ(resolve("b", 3), "");
  EXPECT_EQ(resolve("a", 3), "would make 6 endpoints, and limits.max_endpoints is 5");
  EXPECT_EQ(endpointsOf("a"), 2U) << "the last good answer stays";
  EXPECT_EQ(resolve("b", 1), "");
  EXPECT_EQ(resolve("a", 4), "");
  apply(cds(dnsCluster("b")));
  EXPECT_EQ(resolve("b", 5), "") << "those of a went with their cluster";
}

}  // namespace
}  // namespace sockmesh
