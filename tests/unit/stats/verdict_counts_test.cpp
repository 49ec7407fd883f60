// SPDX-License-Identifier: Apache-2.0
#include "stats/verdict_counts.h"

#include <gmock/gmock.h>

namespace sockmesh {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

Verdicts verdicts(std::uint64_t count, std::vector<std::string_view> certain,
                  std::string_view onceEjected = "") {
  return {count, {std::move(certain), onceEjected}};
}

DatapathStats reading(std::uint32_t id, const Verdicts& refused, const Verdicts& leftAlone = {}) {
  DatapathStats stats;
  ClusterStats& cluster = stats.clusters.emplace_back();
  cluster.id = id;
  cluster.cluster = "reviews";
  cluster.refused = refused;
  cluster.leftAlone = leftAlone;
  return stats;
}

class VerdictCountsTest : public ::testing::Test {
 protected:
  const VerdictCounts::Counts& after(const DatapathStats& stats) {
    update(stats);
    return counts_.counts().at("reviews");
  }
  void update(const DatapathStats& stats) {
    counts_.update(stats, [this](const std::string&) { return used_; });
  }
  VerdictCounts counts_;
  bool used_ = false;  // the cluster
};

TEST_F(VerdictCountsTest, WhatIsAddedHasTheReasonOfTheTables) {
  EXPECT_THAT(after(reading(1, verdicts(3, {"no_endpoints"}), verdicts(2, {"tls"}))).refused,
              ElementsAre(Pair("no_endpoints", 3)));
  const auto& counts = after(reading(1, verdicts(7, {"no_endpoints"}), verdicts(2, {"tls"})));
  EXPECT_THAT(counts.refused, ElementsAre(Pair("no_endpoints", 7)));
  EXPECT_THAT(counts.leftAlone, ElementsAre(Pair("tls", 2)));
}

// A service loses its endpoints, refuses, and gets them back, all between readings.
TEST_F(VerdictCountsTest, AReasonCountsThatIsThereAtOneOfBothReadings) {
  update(reading(1, verdicts(0, {})));
  EXPECT_THAT(after(reading(1, verdicts(2, {"no_endpoints"}))).refused,
              ElementsAre(Pair("no_endpoints", 2)));
  EXPECT_THAT(after(reading(1, verdicts(5, {}))).refused, ElementsAre(Pair("no_endpoints", 5)));
  EXPECT_THAT(after(reading(1, verdicts(6, {}))).refused,
              ElementsAre(Pair("no_endpoints", 5), Pair("unknown", 1)));
}

TEST_F(VerdictCountsTest, NoCountFallsWhenTheReasonChanges) {
  after(reading(1, verdicts(3, {"no_endpoints"})));
  EXPECT_THAT(after(reading(1, verdicts(4, {"cluster_absent"}))).refused,
              ElementsAre(Pair("cluster_absent", 0), Pair("no_endpoints", 3), Pair("unknown", 1)));
  EXPECT_THAT(after(reading(1, verdicts(6, {"cluster_absent"}))).refused,
              ElementsAre(Pair("cluster_absent", 2), Pair("no_endpoints", 3), Pair("unknown", 1)));
}

TEST_F(VerdictCountsTest, OneOfSeveralReasonsIsUnknown) {
  EXPECT_THAT(after(reading(1, verdicts(3, {"no_subset", "no_endpoints"}))).refused,
              ElementsAre(Pair("unknown", 3)));
}

// Clients eject for themselves, and endpoints come back between two readings.
TEST_F(VerdictCountsTest, EjectionIsTheReasonWhereNoOtherIsThere) {
  EXPECT_THAT(after(reading(1, verdicts(2, {}, "no_healthy_endpoints"))).refused,
              ElementsAre(Pair("no_healthy_endpoints", 2)));
  EXPECT_THAT(after(reading(1, verdicts(3, {"no_endpoints"}, "no_healthy_endpoints"))).refused,
              ElementsAre(Pair("no_endpoints", 1), Pair("no_healthy_endpoints", 2)));
}

TEST_F(VerdictCountsTest, ALaterClusterOfTheSameNameAddsToTheEarlier) {
  after(reading(1, verdicts(3, {"tls"})));
  EXPECT_THAT(after(reading(2, verdicts(0, {"tls"}))).refused, ElementsAre(Pair("tls", 3)));
  EXPECT_THAT(after(reading(3, verdicts(5, {"tls"}))).refused, ElementsAre(Pair("tls", 8)));
}

TEST_F(VerdictCountsTest, AnIdThatGoesToAnotherClusterCountsFromZero) {
  after(reading(1, verdicts(3, {"tls"})));
  DatapathStats other = reading(1, verdicts(4, {"no_endpoints"}));
  other.clusters[0].cluster = "ratings";
  update(other);
  EXPECT_THAT(counts_.counts().at("ratings").refused, ElementsAre(Pair("no_endpoints", 4)));
  EXPECT_FALSE(counts_.counts().contains("reviews"));
}

TEST_F(VerdictCountsTest, CountsVanishWithTheirCluster) {
  after(reading(1, verdicts(3, {"tls"})));
  update({});
  EXPECT_THAT(counts_.counts(), IsEmpty());
}

TEST_F(VerdictCountsTest, AClusterOfWhichNothingIsToSayIsNotThere) {
  update(reading(1, verdicts(0, {}, "no_healthy_endpoints")));
  EXPECT_THAT(counts_.counts(), IsEmpty());
}

TEST_F(VerdictCountsTest, WhatTheTablesSayBeginsWith0) {
  const auto& counts = after(reading(1, verdicts(0, {"no_endpoints"}), verdicts(0, {"tls"})));
  EXPECT_THAT(counts.refused, ElementsAre(Pair("no_endpoints", 0)));
  EXPECT_THAT(counts.leftAlone, ElementsAre(Pair("tls", 0)));
  EXPECT_THAT(after(reading(1, verdicts(0, {"no_endpoints", "no_subset"}))).refused,
              ElementsAre(Pair("no_endpoints", 0), Pair("unknown", 0)));
}

// The endpoints of a cluster in use go away, and its connections are refused before the next
// scrape.
TEST_F(VerdictCountsTest, SuddenRefusalsOfAClusterInUseBeginWith0) {
  used_ = true;
  DatapathStats stats = reading(1, verdicts(0, {}));
  stats.suddenRefusals = {"no_endpoints", "cluster_absent"};
  EXPECT_THAT(after(stats).refused,
              ElementsAre(Pair("cluster_absent", 0), Pair("no_endpoints", 0)));
  EXPECT_THAT(after(stats).leftAlone, IsEmpty());
  DatapathStats later = reading(1, verdicts(4, {"no_endpoints"}));
  later.suddenRefusals = stats.suddenRefusals;
  EXPECT_THAT(after(later).refused,
              ElementsAre(Pair("cluster_absent", 0), Pair("no_endpoints", 4)));
}

}  // namespace
}  // namespace sockmesh
