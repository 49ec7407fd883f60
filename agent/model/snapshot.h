// SPDX-License-Identifier: Apache-2.0
// Everything the control plane said, decoded, at one moment. Immutable: a change makes a new
// Snapshot that shares the unchanged resources, so two snapshots are compared by pointer.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/name.h"
#include "base/shared_map.h"
#include "model/assignment.h"
#include "model/changes.h"
#include "model/cluster.h"
#include "model/listener.h"
#include "model/workload.h"

namespace sockmesh {

// A cluster or listener whose previous version is in force although the control plane has replaced
// or removed it, and why; for people.
struct HeldVersion {
  std::string type;  // "CDS" or "LDS"
  std::string name;
  std::string why;
};

// A listener in use and a route configuration of it of which no version has come.
struct MissingRoutes {
  std::string listener;
  std::string routeConfig;
  // The time for it is over, or it was rejected: it counts as empty. Until then the VIPs in it are
  // unknown, and not absent.
  bool countsAsEmpty = false;
};

struct Snapshot {
  template <typename T>
  using ByName = SharedMap<std::shared_ptr<const T>, Name>;

  // False until the first CDS and LDS responses have come. Until then, what is missing is unknown
  // and not absent, and nothing may be deleted from the datapath for it.
  bool complete = false;
  // The control plane has listed its clusters: one that is absent does not exist. False before the
  // first CDS response, and while the names of some clusters could not be read: an absent cluster
  // is unknown then.
  bool clustersListed = false;
  // The versions in force. A cluster or listener whose newest version waits for endpoints is here
  // in its earlier version, see `held`.
  ByName<Cluster> clusters;
  // By EDS name. A name that is absent has not arrived: unknown is not empty.
  ByName<LoadAssignment> assignments;
  // The parts of listeners that make VIPs, by name of the part.
  ByName<Listener> listeners;
  std::size_t listenerResources = 0;  // in use, with and without a VIP
  std::size_t routeResources = 0;
  std::size_t nameTables = 0;
  // Who has which address, for people. Empty unless the agent asks for workloads.
  SharedMap<std::shared_ptr<const Workload>, IpAddress> workloads;
  std::size_t workloadResources = 0;         // services among them
  std::vector<MissingRoutes> missingRoutes;  // by route configuration, then listener
  ByName<LeftAlone> leftAlone;               // listeners, and parts, that make no VIP
  std::vector<HeldVersion> held;             // clusters, then listeners, each by name
  // Version by type, as the server gave it, for people: {"CDS": "2026-..", ...}.
  std::map<std::string, std::string> versions;
  // Relative to the previous snapshot that the store handed out. A reader that skips snapshots
  // merges the changes of those that it skipped.
  Changes changed;

  // The endpoints of `cluster`, inline or by EDS; null while they have not arrived.
  std::shared_ptr<const LoadAssignment> assignmentOf(const Cluster& cluster) const;
  // `leftAlone` as a list, for people.
  std::vector<LeftAlone> leftAloneList() const;
};

}  // namespace sockmesh
