// SPDX-License-Identifier: Apache-2.0
// For any order of responses: a VIP's target is not taken away while its successor is still to
// come. Once everything is answered, the latest versions are in force.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>

#include "store/resource_store.h"
#include "unit/decode/resources.h"
#include "unit/store/missing.h"

namespace sockmesh {
namespace {

using namespace xds_test;

constexpr int kVips = 4;

class RandomControlPlane {
 public:
  explicit RandomControlPlane(std::uint32_t seed) : random_(seed) {}

  // One response, or one time-out.
  void step() {
    switch (upTo(5)) {
      case 0:
        return sendClusters();
      case 1:
        return sendListeners();
      case 2:
        return timeOut();
      default:
        return answer();
    }
  }
  void answerAll() {
    while (!missingEndpoints(store_).empty()) {
      for (const auto& [name, timeout] : missingEndpoints(store_)) {
        EXPECT_TRUE(store_.apply(updateOf(eds(assignment(name)))).ok());
      }
    }
  }
  // Whether what the control plane said last of this VIP can be served one day.
  bool wanted(const std::string& vip) const {
    return std::ranges::any_of(listeners_, [&](const auto& entry) {
      return entry.second.vip == vip &&
             std::ranges::all_of(entry.second.legs,
                                 [&](const auto& leg) { return clusters_.contains(leg); });
    });
  }
  bool served(const std::string& vip) const {
    const auto snapshot = store_.snapshot();
    for (const auto& [name, listener] : snapshot->listeners) {
      if (listener->addresses[0].toString() != vip + ":80") continue;
      return std::ranges::any_of(listener->route.clusters, [&](const WeightedCluster& leg) {
        const auto cluster = snapshot->clusters.find(leg.name);
        return cluster != snapshot->clusters.end() && snapshot->assignmentOf(*cluster->second);
      });
    }
    return false;
  }
  void checkSubscription() const {
    const auto snapshot = store_.snapshot();
    std::set<std::string> names;
    for (const auto& [name, edsName] : clusters_) names.insert(edsName);
    for (const auto& [name, cluster] : snapshot->clusters) {
      names.insert(cluster->edsName);
      EXPECT_TRUE(clusters_.contains(name) || pointedAt(*snapshot, name)) << name;
    }
    EXPECT_EQ(store_.wanted(edsType()), std::vector(names.begin(), names.end()));
  }
  void checkNewestInForce() const {
    const auto snapshot = store_.snapshot();
    for (const auto& [name, edsName] : clusters_) {
      EXPECT_EQ(snapshot->clusters.at(name)->edsName, edsName);
    }
    EXPECT_EQ(namesOf(snapshot->listeners), namesOf(listeners_));
    for (const auto& [name, said] : listeners_) {
      const auto& listener = *snapshot->listeners.at(name);
      EXPECT_EQ(listener.addresses[0].toString(), said.vip + ":80");
      ASSERT_EQ(listener.route.clusters.size(), said.legs.size());
      EXPECT_EQ(listener.route.clusters[0].name, said.legs[0]);
    }
    for (const HeldVersion& one : snapshot->held) {
      EXPECT_EQ(one.type, "CDS") << one.name;
      EXPECT_FALSE(clusters_.contains(one.name)) << one.name << ": " << one.why;
    }
  }

 private:
  struct Said {
    std::string vip;
    std::vector<std::string> legs;
  };

  int upTo(int end) { return static_cast<int>(random_() % static_cast<unsigned>(end)); }
  std::string cluster() { return "c" + std::to_string(upTo(5)); }

  static bool pointedAt(const Snapshot& snapshot, const std::string& cluster) {
    return std::ranges::any_of(snapshot.listeners, [&](const auto& entry) {
      return std::ranges::any_of(entry.second->route.clusters,
                                 [&](const auto& leg) { return leg.name == cluster; });
    });
  }

  void sendClusters() {
    DiscoveryResponse list = cds();
    for (int i = 0; i < 5; ++i) {
      const std::string name = "c" + std::to_string(i);
      if (upTo(4) == 0) clusters_[name] = "e" + std::to_string(upTo(8));
      if (upTo(8) == 0) clusters_.erase(name);
    }
    for (const auto& [name, edsName] : clusters_) {
      list.add_resources()->PackFrom(edsCluster(name, 5, edsName));
    }
    EXPECT_TRUE(store_.apply(updateOf(list)).ok());
  }

  // Each VIP has one listener at most, and moves between them.
  void sendListeners() {
    if (upTo(2) == 0) listeners_.clear();
    std::set<std::string> taken;
    for (const auto& [name, said] : listeners_) taken.insert(said.vip);
    DiscoveryResponse list = lds();
    for (int i = 0; i < kVips; ++i) {
      Said& said = listeners_["l" + std::to_string(i)];
      std::string vip = "10.0.0." + std::to_string(1 + upTo(kVips));
      if (said.vip.empty() && !taken.insert(vip).second) {
        listeners_.erase("l" + std::to_string(i));
        continue;
      }
      if (said.vip.empty()) said.vip = vip;
      if (!said.legs.empty() && upTo(2) == 0) continue;
      said.legs = {cluster()};
      const std::string other = cluster();
      if (upTo(2) == 0 && other != said.legs[0]) said.legs.push_back(other);
    }
    for (const auto& [name, said] : listeners_) {
      list.add_resources()->PackFrom(listenerTo(said.legs, name, said.vip));
    }
    EXPECT_TRUE(store_.apply(updateOf(list)).ok());
  }

  void timeOut() {
    const auto missing = missingEndpoints(store_);
    if (!missing.empty()) store_.fetchTimedOut(endpointsOf(missing.begin()->first));
  }
  void answer() {
    const auto wanted = store_.wanted(edsType());
    if (wanted.empty()) return;
    const std::string& name =
        wanted[static_cast<std::size_t>(upTo(static_cast<int>(wanted.size())))];
    EXPECT_TRUE(store_.apply(updateOf(eds(assignment(name, 1 + upTo(1000))))).ok());
  }

  std::mt19937 random_;
  ResourceStore store_;
  std::map<std::string, std::string> clusters_;  // as said last: name -> EDS name
  std::map<std::string, Said> listeners_;        // as said last
};

TEST(WarmingRandom, NoVipIsTakenAwayBeforeItsSuccessorIsThere) {
  for (std::uint32_t seed = 1; seed <= 60 && !testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE(seed);
    RandomControlPlane plane(seed);
    int held = 0;
    for (int step = 0; step < 200; ++step) {
      SCOPED_TRACE(step);
      std::set<std::string> before;
      for (int i = 1; i <= kVips; ++i) {
        const std::string vip = "10.0.0." + std::to_string(i);
        if (plane.served(vip)) before.insert(vip);
      }
      plane.step();
      plane.checkSubscription();
      for (const std::string& vip : before) {
        if (!plane.wanted(vip)) continue;
        ++held;
        EXPECT_TRUE(plane.served(vip)) << vip;
      }
      if (testing::Test::HasFailure()) return;
      if (step % 20 != 19) continue;
      plane.answerAll();
      plane.checkNewestInForce();
    }
    EXPECT_GT(held, 20);
  }
}

}  // namespace
}  // namespace sockmesh
