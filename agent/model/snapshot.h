// Everything the control plane said, decoded, at one moment. Immutable: a change makes a new
// Snapshot that shares the unchanged resources, so two snapshots are compared by pointer.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "model/assignment.h"
#include "model/cluster.h"
#include "model/listener.h"

namespace sockmesh {

struct Snapshot {
  template <typename T>
  using ByName = std::map<std::string, std::shared_ptr<const T>>;

  // False until the first CDS and LDS responses came: what is missing is unknown, not absent, and
  // nothing may be deleted from the datapath on its account.
  bool complete = false;
  ByName<Cluster> clusters;
  // By EDS name. A name that is absent has not arrived: unknown is not empty.
  ByName<LoadAssignment> assignments;
  ByName<Listener> listeners;
  std::vector<LeftAlone> leftAlone;  // listeners that make no VIP, by name
  // Version by type, as the server gave it, for people: {"CDS": "2026-..", ...}.
  std::map<std::string, std::string> versions;

  // The endpoints of `cluster`, inline or by EDS; null while they have not arrived.
  std::shared_ptr<const LoadAssignment> assignmentOf(const Cluster& cluster) const;
};

}  // namespace sockmesh
