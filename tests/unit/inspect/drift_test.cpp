// SPDX-License-Identifier: Apache-2.0
// Which differences between the control plane's resources and the tables are drift.
#include <gtest/gtest.h>

#include "inspect/drift.h"
#include "lb/compiler.h"
#include "unit/lb/build.h"
#include "unit/lb/random_history.h"

namespace sockmesh::test {
namespace {

// "Service 10.96.0.1:80/TCP name: a, not b", one line for each difference.
std::string textOf(const std::vector<Drift>& drifts) {
  std::string out;
  for (const Drift& one : drifts) {
    EXPECT_EQ(one.between, Drift::Between::kControlPlaneAndTables);
    out += one.kind + " " + one.name + (one.field.empty() ? "" : " " + one.field) + ": " +
           one.wanted + ", not " + one.found + "\n";
  }
  return out;
}

SnapshotBuilder mesh() {
  SnapshotBuilder build;
  build.put(cluster("c"), assignment({locality("z", 1, 1, 2, 2)}));
  build.listen("web", {kVip, "10.96.0.2:80"}, {{"c", 1, {}}});
  return build;
}

std::shared_ptr<const LbTables> compiled(const Snapshot& snapshot) {
  Compiler compiler{CompilerOptions()};
  return compiler.compile(snapshot, {}, Nanos(0));
}

TEST(Drift, TablesOfOneSnapshotAreInStepWithIt) {
  const auto build = mesh();
  EXPECT_EQ(textOf(driftFromControlPlane(build.snapshot(), *compiled(build.snapshot()))), "");
}

TEST(Drift, NamesVipsThatCameAndWent) {
  const auto tables = compiled(mesh().snapshot());
  auto build = mesh();
  build.listen("web", {kVip, "10.96.0.3:80"}, {{"c", 1, {}}});
  build.listen("api", {kVip}, {{"c", 1, {}}});  // the first name owns the VIP
  EXPECT_EQ(textOf(driftFromControlPlane(build.snapshot(), *tables)),
            "Service 10.96.0.1:80/TCP name: api, not web\n"
            "Service 10.96.0.3:80/TCP: there, not not there\n"
            "Service 10.96.0.2:80/TCP: not there, not there\n");
}

TEST(Drift, NamesEndpointsAndRules) {
  const auto tables = compiled(mesh().snapshot());
  auto build = mesh();
  Cluster other = cluster("c");
  other.outlierDetection = OutlierDetection();
  other.outlierDetection->maxEjectionPercent = 50;
  LoadAssignment endpoints = assignment({locality("z", 1, 1, 1, 1), locality("z", 1, 3, 1, 1)});
  endpoints.localities[0].endpoints[0].weight = 7;
  build.put(other, endpoints);
  const std::string text = textOf(driftFromControlPlane(build.snapshot(), *tables));
  for (const char* line :
       {"Cluster c ejection.limit: 1, not 0\n", "Endpoint c 10.0.0.1:80 weight: 7, not 1\n",
        "Endpoint c 10.0.0.3:80: there, not not there\n",
        "Endpoint c 10.0.0.2:80: not there, not there\n"}) {
    EXPECT_NE(text.find(line), std::string::npos) << line << text;
  }
}

TEST(Drift, AClusterThatIsRoutedToIsInTheTables) {
  const auto tables = compiled(mesh().snapshot());
  auto build = mesh();
  build.listen("web", {kVip, "10.96.0.2:80"}, {{"d", 1, {}}});
  EXPECT_EQ(textOf(driftFromControlPlane(build.snapshot(), *tables)),
            "Cluster d: there, not not there\n");
}

// Tables that the compiler made step by step are in step after every step.
TEST(Drift, ThereIsNoneAlongARandomHistory) {
  for (std::uint32_t seed = 1; seed <= 20; ++seed) {
    RandomHistory history(seed);
    Compiler compiler{CompilerOptions()};
    for (int i = 0; i < 100; ++i) {
      const Changes changes = history.step();
      const auto tables =
          compiler.compile(history.snapshot(), history.overlay(), changes, Nanos(0));
      ASSERT_EQ(textOf(driftFromControlPlane(history.snapshot(), *tables)), "")
          << "seed " << seed << ", step " << i;
    }
  }
}

}  // namespace
}  // namespace sockmesh::test
