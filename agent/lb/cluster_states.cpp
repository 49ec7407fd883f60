// SPDX-License-Identifier: Apache-2.0
#include "lb/cluster_states.h"

#include <algorithm>
#include <utility>

#include "lb/cluster_facts.h"

namespace sockmesh {
namespace {

using AssignmentPtr = std::shared_ptr<const LoadAssignment>;

// Stands for an expired assignment, and for the assignment of a static cluster without endpoints.
const AssignmentPtr& emptyAssignment() {
  static const AssignmentPtr empty = std::make_shared<const LoadAssignment>();
  return empty;
}

std::optional<Nanos> earlier(std::optional<Nanos> a, std::optional<Nanos> b) {
  if (!a || !b) return a ? a : b;
  return std::min(*a, *b);
}

std::set<SocketAddress> ejectedOf(const HealthOverlay& overlay, const std::string& cluster) {
  std::set<SocketAddress> ejected;
  const auto found = overlay.byCluster.find(cluster);
  if (found == overlay.byCluster.end()) return ejected;
  for (const auto& [address, health] : found->second) {
    if (health.ejected) ejected.insert(address);
  }
  return ejected;
}

// Looks at `next` before it searches. Afterwards `next` is behind the entry that was found.
template <typename T>
std::shared_ptr<const T> findNear(const Snapshot::ByName<T>& map, const std::string& name,
                                  typename Snapshot::ByName<T>::const_iterator& next) {
  auto found = next;
  if (found == map.end() || found->first != name) found = map.find(name);
  if (found == map.end()) return nullptr;
  next = std::next(found);
  return found->second;
}

}  // namespace

const ClusterPlans* PlanSet::find(const MetadataStruct& criteria) const {
  if (criteria.empty()) return &plain;
  const auto found = bySubset->find(criteria);
  return found == bySubset->end() ? nullptr : &found->second;
}

ClusterPlans& PlanSet::at(const MetadataStruct& criteria) {
  return criteria.empty() ? plain : bySubset.edit()[criteria];
}

void ClusterStates::begin(const Snapshot& snapshot, const HealthOverlay& overlay,
                          const Changes& changed, Nanos now) {
  ++run_;
  snapshot_ = &snapshot;
  overlay_ = &overlay;
  now_ = now;
  nextCluster_ = snapshot.clusters.begin();
  nextAssignment_ = snapshot.assignments.begin();
  changedFacts_.clear();
  changedInputs_.clear();
  const bool callersChanged = takeCallers();
  const bool listedChanged = listed_ != snapshot.clustersListed;
  listed_ = snapshot.clustersListed;
  if (changed.all || callersChanged || listedChanged) {
    for (auto& [name, state] : states_) update(state, inputsOf(name));
    return;
  }
  for (const std::string& name : dependents(changed)) {
    const auto found = states_.find(name);
    if (found != states_.end()) update(found->second, inputsOf(name));
  }
}

// The names of clusters that may be other than before; some may not be known.
std::set<std::string> ClusterStates::dependents(const Changes& changed) const {
  std::set<std::string> names = changed.clusters;
  for (const std::string& assignment : changed.assignments) {
    names.insert(assignment);  // mostly the cluster's own name
    const auto found = byAssignment_.find(assignment);
    if (found != byAssignment_.end()) names.insert(found->second.begin(), found->second.end());
  }
  for (const auto& [when, name] : due_) {
    if (when > now_) break;
    names.insert(name);
  }
  return names;
}

std::set<std::string> ClusterStates::affectedListeners() const {
  std::set<std::string> names;
  for (const ClusterState* state : changed_) {
    names.insert(state->listeners.begin(), state->listeners.end());
  }
  return names;
}

// Enters a cluster into the indices, or takes it out.
void ClusterStates::index(const ClusterState& state, bool add) {
  if (state.nextChange) {
    const std::pair entry{*state.nextChange, state.name};
    add ? void(due_.insert(entry)) : void(due_.erase(entry));
  }
  if (!state.inputs.cluster) return;
  const Name& assignment = state.inputs.cluster->edsName;
  if (assignment.empty() || assignment == state.name) return;
  auto& names = byAssignment_[assignment];
  add ? void(names.insert(state.name)) : void(names.erase(state.name));
  if (names.empty()) byAssignment_.erase(assignment);
}

// Whether the callers' own cluster changed.
bool ClusterStates::takeCallers() {
  auto callers = callersAssignment();
  auto ejected = ejectedOf(*overlay_, options_.localCluster);
  const bool changed = callers != callers_ || ejected != callersEjected_;
  callers_ = std::move(callers);
  callersEjected_ = std::move(ejected);
  return changed;
}

AssignmentPtr ClusterStates::callersAssignment() const {
  if (options_.localCluster.empty()) return nullptr;
  const auto cluster = snapshot_->clusters.find(options_.localCluster);
  if (cluster != snapshot_->clusters.end()) return snapshot_->assignmentOf(*cluster->second);
  const auto found = snapshot_->assignments.find(options_.localCluster);
  return found == snapshot_->assignments.end() ? nullptr : found->second;
}

AssignmentPtr ClusterStates::assignmentOf(const Cluster& cluster) {
  if (cluster.inlineAssignment) return cluster.inlineAssignment;
  if (cluster.type == DiscoveryType::kStatic) return emptyAssignment();
  return findNear(snapshot_->assignments, cluster.edsName, nextAssignment_);
}

ClusterInputs ClusterStates::inputsOf(const std::string& name) {
  ClusterInputs inputs;
  inputs.ejected = ejectedOf(*overlay_, name);
  inputs.cluster = findNear(snapshot_->clusters, name, nextCluster_);
  inputs.absent = !inputs.cluster && snapshot_->clustersListed;
  if (!inputs.cluster) return inputs;
  inputs.received = assignmentOf(*inputs.cluster);
  if (inputs.cluster->lb.localityMode == LocalityMode::kZoneAware) {
    inputs.callers = callers_;
    inputs.callersEjected = callersEjected_;
  }
  return inputs;
}

ClusterState& ClusterStates::use(const std::string& name, const std::string& listener) {
  const auto [at, made] = states_.try_emplace(name);
  ClusterState& state = at->second;
  state.listeners.insert(listener);
  if (!made) return state;
  state.name = name;
  update(state, inputsOf(name));
  return state;
}

void ClusterStates::release(ClusterState& state, const std::string& listener) {
  state.listeners.erase(listener);
  if (state.listeners.empty()) unused_.insert(state.name);
}

void ClusterStates::update(ClusterState& state, ClusterInputs seen) {
  const bool first = state.changedInPass == 0;
  const bool due = state.nextChange && *state.nextChange <= now_;
  if (!first && !due && seen == state.inputs) return;
  if (first || seen.received != state.inputs.received) state.receivedAt = now_;
  index(state, false);
  state.inputs = std::move(seen);
  state.changedInPass = run_;
  changed_.push_back(&state);
  refresh(state);
  index(state, true);
}

// After a change, plans are made anew when they are requested.
void ClusterStates::refresh(ClusterState& state) {
  const ClusterInputs& inputs = state.inputs;
  state.effective = inputs.received;
  state.nextChange.reset();
  if (inputs.received && inputs.received->endpointStaleAfter) {
    const Nanos expiry = state.receivedAt + *inputs.received->endpointStaleAfter;
    if (expiry <= now_) {
      state.effective = emptyAssignment();
    } else {
      state.nextChange = expiry;
    }
  }
  if (inputs.cluster && state.effective && inputs.cluster->lb.slowStart.window > Nanos{0}) {
    const SlowStart& slowStart = inputs.cluster->lb.slowStart;
    if (!state.ages) state.ages.emplace();
    state.ages->observe(*state.effective, now_);
    state.nextChange = earlier(state.nextChange, state.ages->nextChange(slowStart, now_));
  }
  state.families = state.effective ? familiesOf(*state.effective) : Families{};
  auto facts = clusterFacts(state.name, inputs.cluster.get(), state.effective);
  if (!state.facts || *state.facts != facts) {
    state.facts = std::make_shared<const LbCluster>(std::move(facts));
    changedFacts_.insert(state.name);
  }
  state.plansBefore = std::exchange(state.plans, {});
}

ClusterPlans ClusterStates::plans(ClusterState& state, const MetadataStruct& metadata,
                                  bool byReach) {
  static const MetadataStruct kNoCriteria;
  const ClusterInputs& inputs = state.inputs;
  const bool subset = inputs.cluster && inputs.cluster->lb.subset;
  const MetadataStruct& criteria = subset ? metadata : kNoCriteria;
  ClusterPlans& known = state.plans.at(criteria);
  if (!known.both || (byReach && !known.ipv4Only)) makePlans(state, criteria, byReach, known);
  return byReach ? known : ClusterPlans{known.both, known.both, known.both};
}

// Adds to `known` what is asked for.
void ClusterStates::makePlans(const ClusterState& state, const MetadataStruct& criteria,
                              bool byReach, ClusterPlans& known) {
  const ClusterInputs& inputs = state.inputs;
  const sm_reason reason = leftAloneReason(inputs.cluster.get(), state.effective.get());
  if (inputs.absent || reason != SM_REASON_NONE) {
    const PlanPtr plan = inputs.absent ? absentPlan(state.name) : leftAlonePlan(state.name, reason);
    known = {plan, plan, plan};
    return;
  }
  static const SlowStartAges kNoAges;
  std::optional<PrioritySet> callers;
  if (inputs.callers) {
    HostFacts facts;
    facts.ejected = inputs.callersEjected;
    facts.nodeLocality = options_.nodeLocality;
    callers = prioritySet(*inputs.callers, facts);
  }
  PlanInputs all{.cluster = *inputs.cluster,
                 .assignment = *state.effective,
                 .criteria = criteria,
                 .ejected = inputs.ejected,
                 .options = options_,
                 .ages = state.ages ? *state.ages : kNoAges,
                 .localCluster = callers ? &callers->front() : nullptr,
                 .now = now_,
                 .reach = Reach::kBoth};
  const ClusterPlans* found = state.plansBefore ? state.plansBefore->find(criteria) : nullptr;
  const ClusterPlans before = found == nullptr ? ClusterPlans{} : *found;
  if (!known.both) known.both = planCluster(all, pool_, before.both.get());
  if (!byReach) return;
  const auto only = [&](Reach reach) {
    if (state.families.all(reach)) return known.both;
    all.reach = reach;
    return planCluster(all, pool_, before.of(reach).get());
  };
  known.ipv4Only = only(Reach::kIpv4);
  known.ipv6Only = only(Reach::kIpv6);
}

void ClusterStates::end() {
  for (ClusterState* state : changed_) {
    state->plansBefore.reset();
    changedInputs_.insert(state->name);
  }
  changed_.clear();
  for (const std::string& name : unused_) {
    const auto found = states_.find(name);
    if (found == states_.end() || !found->second.listeners.empty()) continue;
    index(found->second, false);
    changedFacts_.insert(name);
    changedInputs_.insert(name);
    states_.erase(found);
  }
  unused_.clear();
}

std::optional<Nanos> ClusterStates::nextChange() const {
  if (due_.empty()) return std::nullopt;
  return due_.begin()->first;
}

}  // namespace sockmesh
