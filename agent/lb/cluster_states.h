// SPDX-License-Identifier: Apache-2.0
// The memory of the Compiler: every cluster that a VIP leads to, as the last pass saw it, with its
// plans. What did not change is not made again.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/name.h"
#include "base/rare.h"
#include "lb/cluster_plan.h"
#include "lb/compiler_options.h"
#include "lb/slow_start.h"
#include "lb/tables.h"
#include "model/changes.h"
#include "model/health_overlay.h"
#include "model/snapshot.h"

namespace sockmesh {

// Everything that a cluster's tables depend on. Resources are compared by identity: a new object is
// a change.
struct ClusterInputs {
  std::shared_ptr<const Cluster> cluster;          // null: unknown or absent
  bool absent = false;                             // the control plane has no such cluster
  std::shared_ptr<const LoadAssignment> received;  // null: not arrived
  Rare<std::set<SocketAddress>> ejected;
  // The callers' own cluster; only with zone-aware routing.
  std::shared_ptr<const LoadAssignment> callers;
  Rare<std::set<SocketAddress>> callersEjected;
  bool operator==(const ClusterInputs&) const = default;
};

// The plans of a cluster, as far as they were asked for. Without a subset configuration all legs
// share the plan without criteria.
struct PlanSet {
  ClusterPlans plain;
  Rare<std::map<MetadataStruct, ClusterPlans>> bySubset;  // by the criteria of a leg

  const ClusterPlans* find(const MetadataStruct& criteria) const;
  ClusterPlans& at(const MetadataStruct& criteria);  // made where it is not known
};

struct ClusterState {
  Name name;
  std::uint64_t changedInPass = 0;  // the run in which the inputs, or time, last changed anything
  std::set<Name> listeners;         // that lead here; none: forgotten at the end of the run
  ClusterInputs inputs;
  std::shared_ptr<const LoadAssignment> effective;  // as received; empty once it is stale
  Nanos receivedAt{0};
  RareOptional<SlowStartAges> ages;  // only with slow start
  std::optional<Nanos> nextChange;
  std::shared_ptr<const LbCluster> facts;
  Families families;  // of the effective assignment
  PlanSet plans;
  RareOptional<PlanSet> plansBefore;  // of the inputs before these, during a run
};

class ClusterStates {
 public:
  using ByName = NameMap<ClusterState>;

  ClusterStates(const CompilerOptions& options, CellPool& pool) : options_(options), pool_(pool) {}

  // Begins a run: brings the known clusters up to date that depend on what changed, or on time.
  // `snapshot` and `overlay` outlive the run.
  void begin(const Snapshot& snapshot, const HealthOverlay& overlay, const Changes& changed,
             Nanos now);
  // The listeners that lead to a cluster which changed in this run. Valid after begin().
  std::set<std::string> affectedListeners() const;
  // The cluster of this name, up to date. Stays where it is until the listener releases it.
  ClusterState& use(const std::string& name, const std::string& listener);
  void release(ClusterState& state, const std::string& listener);
  // The plans of a leg with this metadata. Without `byReach` all of them are the one for sockets
  // that reach both families, which is less work.
  ClusterPlans plans(ClusterState& state, const MetadataStruct& metadata, bool byReach);
  // Ends a run: forgets clusters to which no listener leads any more.
  void end();

  std::uint64_t run() const { return run_; }
  // The clusters whose facts changed, came or went in this run. Valid after end().
  const std::set<std::string>& changedFacts() const { return changedFacts_; }
  void forgetFacts() { changedFacts_.clear(); }
  // The clusters of which anything changed, came or went in this run. Valid after end().
  std::set<std::string> takeChangedInputs() { return std::exchange(changedInputs_, {}); }
  const ByName& byName() const { return states_; }
  // When time alone changes a cluster next; nothing: never.
  std::optional<Nanos> nextChange() const;

 private:
  ClusterInputs inputsOf(const std::string& name);
  std::shared_ptr<const LoadAssignment> assignmentOf(const Cluster& cluster);
  std::shared_ptr<const LoadAssignment> callersAssignment() const;
  bool takeCallers();
  std::set<std::string> dependents(const Changes& changed) const;
  void index(const ClusterState& state, bool add);
  void update(ClusterState& state, ClusterInputs seen);
  void refresh(ClusterState& state);
  void makePlans(const ClusterState& state, const MetadataStruct& criteria, bool byReach,
                 ClusterPlans& known);

  const CompilerOptions& options_;
  CellPool& pool_;
  ByName states_;
  // Clusters by the name of the assignment that they take, where it is not their own name, and by
  // when time changes them.
  NameMap<std::set<Name>> byAssignment_;
  std::set<std::pair<Nanos, Name>> due_;
  std::vector<ClusterState*> changed_;  // in this run
  std::set<std::string> unused_;        // released in this run
  std::set<std::string> changedFacts_;
  std::set<std::string> changedInputs_;

  std::uint64_t run_ = 0;
  bool listed_ = false;  // Snapshot::clustersListed
  const Snapshot* snapshot_ = nullptr;
  const HealthOverlay* overlay_ = nullptr;
  Nanos now_{0};
  std::shared_ptr<const LoadAssignment> callers_;
  std::set<SocketAddress> callersEjected_;
  // Where the next name is expected. Names mostly come in order, and a search costs more.
  Snapshot::ByName<Cluster>::const_iterator nextCluster_;
  Snapshot::ByName<LoadAssignment>::const_iterator nextAssignment_;
};

}  // namespace sockmesh
