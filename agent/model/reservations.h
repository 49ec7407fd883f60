// What the control plane asked for and a connect() does not do, collected from a Snapshot: for the
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

// Clusters, then listeners, each by name; those of which everything is honoured are left out.
std::vector<NotHonoured> notHonoured(const Snapshot& snapshot);

// A cluster behind a service whose hash policy needs a request. Its connections are balanced all
// the same, by the source address or by chance.
struct LayerSevenNeed {
  std::string service;  // the listener's name
  std::string cluster;
  std::vector<std::string> hashPolicies;  // "header x-user"
};

// By service, in the order of its clusters. What SM_DESCRIPTOR_NEEDS_L7 says in the kernel, with
// the reason that does not fit there.
std::vector<LayerSevenNeed> layerSevenNeeds(const Snapshot& snapshot);

}  // namespace sockmesh
