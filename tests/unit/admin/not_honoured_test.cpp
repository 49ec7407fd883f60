// SPDX-License-Identifier: Apache-2.0
// What is configured and not honoured, as the admin server shows it.
#include <gtest/gtest.h>

#include "admin/json_views.h"

namespace sockmesh::test {
namespace {

// One cluster with a hash policy that needs a request and a field without effect, a listener on it
// with another such field, and one that makes no VIP.
std::shared_ptr<const Snapshot> snapshot() {
  auto made = std::make_shared<Snapshot>();
  auto cluster = std::make_shared<Cluster>();
  cluster->name = "reviews";
  cluster->lb.policy = LbPolicy::kRingHash;
  cluster->lb.hashNeedsLayerSeven = {{"header x-user"}};
  cluster->notHonoured = {"health_checks: endpoints are not checked actively"};
  made->clusters["reviews"] = cluster;
  auto listener = std::make_shared<Listener>();
  listener->name = "reviews:80";
  listener->route.clusters = {{"reviews", 1, {}}};
  listener->notHonoured = {"on_demand: clusters are not asked for by name"};
  made->listeners["reviews:80"] = listener;
  made->leftAlone["0.0.0.0_80"] =
      std::make_shared<const LeftAlone>(LeftAlone{"0.0.0.0_80", "wildcard address 0.0.0.0:80"});
  return made;
}

TEST(NotHonouredFields, StatusCountsAndListsThem) {
  AdminState state;
  state.snapshot.store(snapshot());
  state.conflicts.store(std::make_shared<const std::vector<LeftAlone>>(
      std::vector<LeftAlone>{{"other", "claims 10.96.0.1:80, which reviews:80 has"}}));
  const AdminJson status = statusJson(state);
  EXPECT_EQ(status["notHonoured"], AdminJson::parse(R"({
    "resources": 2,
    "items": [
      {"kind": "Cluster", "name": "reviews",
       "fields": ["health_checks: endpoints are not checked actively"]},
      {"kind": "Listener", "name": "reviews:80",
       "fields": ["on_demand: clusters are not asked for by name"]}]})"));
  EXPECT_EQ(status["needsLayer7"], AdminJson::parse(R"([
    {"service": "reviews:80", "cluster": "reviews", "hashPolicies": ["header x-user"],
     "reasons": []}])"));
  EXPECT_EQ(status["leftAlone"], AdminJson::parse(R"([
    {"name": "0.0.0.0_80", "reason": "wildcard address 0.0.0.0:80"}])"));
  EXPECT_EQ(status["conflicts"][0]["name"], "other");
}

TEST(NotHonouredFields, BeforeTheFirstSnapshotTheyAreNotKnown) {
  const AdminState state;
  const AdminJson status = statusJson(state);
  for (const char* field : {"notHonoured", "needsLayer7", "leftAlone", "conflicts"}) {
    EXPECT_TRUE(status[field].is_null()) << field;
  }
}

TEST(NotHonouredFields, TheConfigDumpHasThemByResource) {
  const auto shown = snapshot();
  const AdminJson dump = configDumpJson(shown.get(), {});
  EXPECT_EQ(dump["clusters"][0]["notHonoured"],
            AdminJson({"health_checks: endpoints are not checked actively"}));
  EXPECT_EQ(dump["listeners"][0]["notHonoured"],
            AdminJson({"on_demand: clusters are not asked for by name"}));
}

}  // namespace
}  // namespace sockmesh::test
