// SPDX-License-Identifier: Apache-2.0
#include "unit/lb/model_tables.h"

#include "lb/compiler.h"
#include "unit/lb/build.h"

namespace sockmesh::test {

std::shared_ptr<const LbTables> compileModel(const std::vector<ModelLeg>& legs,
                                             const ModelWorld& world) {
  SnapshotBuilder builder;
  HealthOverlay overlay;
  std::vector<WeightedCluster> route;
  for (const ModelLeg& leg : legs) {
    builder.put(leg.cluster, leg.assignment);
    route.push_back({leg.cluster.name, leg.weight, leg.criteria});
    for (const auto& address : leg.ejected) {
      overlay.byCluster[leg.cluster.name][address].ejected = true;
    }
  }
  CompilerOptions options;
  options.nodeLocality = world.nodeLocality;
  if (!world.callers.localities.empty()) {
    builder.put(cluster("callers"), world.callers);
    options.localCluster = "callers";
  }
  builder.listen("l", {kVip}, route);
  return Compiler(options).compile(builder.snapshot(), overlay, std::chrono::seconds(1));
}

}  // namespace sockmesh::test
