// SPDX-License-Identifier: Apache-2.0
// What the control plane configured and a connect() does not do, collected from a Snapshot for the
// status page, metrics and the log.
#pragma once

#include <string>
#include <vector>

#include "model/snapshot.h"

namespace sockmesh {

struct NotHonoured {
  enum class Kind : std::uint8_t { kCluster, kListener };
  Kind kind = Kind::kCluster;
  std::string name;
  std::vector<std::string> fields;  // each "field: why"; at least one
};

// "Cluster", "Listener".
const char* kindName(NotHonoured::Kind kind);

// Clusters, then listeners, each by name. Resources that are honoured completely are left out.
std::vector<NotHonoured> notHonoured(const Snapshot& snapshot);

// The hash policies of the cluster that need a request ("header x-user"). Empty: there are none, or
// the cluster is not balanced by a hash.
std::vector<std::string> layerSevenHashes(const Cluster& cluster);

// Why a service needs layer 7. Either its routes do: `reasons`, and no cluster. Its connections go
// where the catch-all route says. Or a cluster's hash policy needs a request: its connections are
// balanced by the source address, or at random.
struct LayerSevenNeed {
  std::string service;  // Listener::name
  std::string cluster;
  std::vector<std::string> hashPolicies;  // "header x-user"
  std::vector<std::string> reasons{};     // Listener::needsLayer7
};

// By service: its routes, then its clusters in their order. The kernel only has the flag
// SM_DESCRIPTOR_NEEDS_L7. This list adds the reason.
std::vector<LayerSevenNeed> layerSevenNeeds(const Snapshot& snapshot);

}  // namespace sockmesh
