// SPDX-License-Identifier: Apache-2.0
#include "unit/lb/random_history.h"

#include <memory>

#include "unit/lb/build.h"

namespace sockmesh::test {

Changes RandomHistory::step() {
  changed_ = {};
  switch (random_() % 8) {
    case 0:
    case 1:
      putCluster();
      break;
    case 2:
    case 3:
      putListener();
      break;
    case 4:
      snapshot_.listeners.erase(changed(changed_.listeners, listener()));
      break;
    case 5:
      snapshot_.clusters.erase(changed(changed_.clusters, cluster()));
      break;
    case 6:
      snapshot_.assignments.erase(changed(changed_.assignments, cluster()));
      break;
    default:
      eject();
  }
  return changed_;
}

std::string RandomHistory::changed(std::set<std::string>& names, const std::string& name) {
  names.insert(name);
  return name;
}

void RandomHistory::putCluster() {
  ModelLeg leg = clusters_.legs().front();
  leg.cluster.name = leg.cluster.edsName = leg.assignment.clusterName = cluster();
  changed_.clusters.insert(leg.cluster.name);
  changed_.assignments.insert(leg.cluster.name);
  snapshot_.clusters[leg.cluster.name] = std::make_shared<Cluster>(leg.cluster);
  snapshot_.assignments[leg.cluster.name] = std::make_shared<LoadAssignment>(leg.assignment);
}

void RandomHistory::putListener() {
  auto made = std::make_shared<Listener>();
  made->name = changed(changed_.listeners, listener());
  const auto vips = 1 + random_() % 2;
  for (std::uint32_t i = 0; i < vips; ++i) {
    made->addresses.push_back(host(static_cast<int>(random_() % 6)));
  }
  const auto legs = 1 + random_() % 3;
  for (std::uint32_t i = 0; i < legs; ++i) {
    WeightedCluster leg{cluster(), 1 + static_cast<std::uint32_t>(random_() % 9), {}};
    leg.metadataMatch.edit()["version"].value = "v" + std::to_string(random_() % 3);
    made->route.clusters.push_back(leg);
  }
  made->route.hashSourceIp = random_() % 2 == 0;
  snapshot_.listeners[made->name] = made;
}

void RandomHistory::eject() {
  auto& known = overlay_.byCluster[changed(changed_.clusters, cluster())];
  known[host(static_cast<int>(1 + random_() % 20))].ejected = random_() % 2 == 0;
}

}  // namespace sockmesh::test
