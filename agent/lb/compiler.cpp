#include "lb/compiler.h"

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "lb/cluster_facts.h"
#include "lb/cluster_plan.h"
#include "lb/service_builder.h"

namespace sockmesh {
namespace {

using PlanPtr = std::shared_ptr<const ClusterPlan>;
using AssignmentPtr = std::shared_ptr<const LoadAssignment>;

// What an expired assignment counts as, and a static cluster without one.
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

// A cluster as it was when it was last looked at, and everything made of it.
struct ClusterState {
  std::uint64_t seenIn = 0;  // the compile() that last looked at it

  std::shared_ptr<const Cluster> cluster;
  AssignmentPtr received;   // as in the snapshot
  AssignmentPtr effective;  // the same, or empty once it is stale
  Nanos receivedAt{0};
  std::set<SocketAddress> ejected;
  AssignmentPtr local;  // the callers' own cluster, of zone-aware routing
  std::set<SocketAddress> localEjected;
  SlowStartAges ages;
  std::optional<Nanos> nextChange;

  std::shared_ptr<const LbCluster> facts;
  // Without a subset configuration all legs share the plan of no criteria.
  std::map<MetadataStruct, PlanPtr> plans;
  std::map<MetadataStruct, PlanPtr> before;  // of the inputs before these
};

// A listener as it was last built.
struct ListenerState {
  std::shared_ptr<const Listener> listener;
  std::vector<PlanPtr> plans;
  std::vector<std::shared_ptr<const Cluster>> clusters;
  std::vector<std::shared_ptr<const LbService>> services;  // one for each address
};

}  // namespace

struct Compiler::State {
  explicit State(CompilerOptions given) : options(std::move(given)) {}

  ClusterState& look(const std::string& name);
  void refresh(const std::string& name, ClusterState& state);
  AssignmentPtr localAssignment() const;
  PlanPtr plan(const std::string& name, ClusterState& state, const MetadataStruct& metadata);
  ListenerState& build(const std::shared_ptr<const Listener>& listener);
  void enter(const ListenerState& state, LbTables& tables) const;
  void forget();

  CompilerOptions options;
  CellPool pool;
  std::map<std::string, ClusterState> clusters;
  std::map<std::string, ListenerState> listeners;
  std::shared_ptr<const LbTables> tables;
  std::optional<Nanos> next;

  // Of the compile() that runs.
  std::uint64_t run = 0;
  const Snapshot* snapshot = nullptr;
  const HealthOverlay* overlay = nullptr;
  Nanos now{0};
};

AssignmentPtr Compiler::State::localAssignment() const {
  if (options.localCluster.empty()) return nullptr;
  const auto cluster = snapshot->clusters.find(options.localCluster);
  if (cluster != snapshot->clusters.end()) return snapshot->assignmentOf(*cluster->second);
  const auto found = snapshot->assignments.find(options.localCluster);
  return found == snapshot->assignments.end() ? nullptr : found->second;
}

// Brings the state of a cluster up to date, once in each compile().
ClusterState& Compiler::State::look(const std::string& name) {
  ClusterState& state = clusters[name];
  if (state.seenIn == run) return state;
  const bool first = state.seenIn == 0;
  state.seenIn = run;
  ClusterState seen;
  const auto found = snapshot->clusters.find(name);
  if (found != snapshot->clusters.end()) {
    seen.cluster = found->second;
    seen.received = snapshot->assignmentOf(*seen.cluster);
    if (!seen.received && seen.cluster->type == DiscoveryType::kStatic) {
      seen.received = emptyAssignment();
    }
    if (seen.cluster->lb.localityMode == LocalityMode::kZoneAware) {
      seen.local = localAssignment();
      seen.localEjected = ejectedOf(*overlay, options.localCluster);
    }
  }
  seen.ejected = ejectedOf(*overlay, name);
  const bool due = state.nextChange && *state.nextChange <= now;
  if (!first && !due && seen.cluster == state.cluster && seen.received == state.received &&
      seen.ejected == state.ejected && seen.local == state.local &&
      seen.localEjected == state.localEjected) {
    return state;
  }
  if (first || seen.received != state.received) state.receivedAt = now;
  state.cluster = std::move(seen.cluster);
  state.received = std::move(seen.received);
  state.ejected = std::move(seen.ejected);
  state.local = std::move(seen.local);
  state.localEjected = std::move(seen.localEjected);
  refresh(name, state);
  return state;
}

// After a change of inputs: what depends on them is made anew when it is asked for.
void Compiler::State::refresh(const std::string& name, ClusterState& state) {
  state.effective = state.received;
  state.nextChange.reset();
  if (state.received && state.received->endpointStaleAfter) {
    const Nanos expiry = state.receivedAt + *state.received->endpointStaleAfter;
    if (expiry <= now) {
      state.effective = emptyAssignment();
    } else {
      state.nextChange = expiry;
    }
  }
  if (state.cluster && state.effective && state.cluster->lb.slowStart.window > Nanos{0}) {
    state.ages.observe(*state.effective, now);
    state.nextChange =
        earlier(state.nextChange, state.ages.nextChange(state.cluster->lb.slowStart, now));
  }
  auto facts = clusterFacts(name, state.cluster.get(), state.effective.get());
  if (!state.facts || *state.facts != facts) {
    state.facts = std::make_shared<const LbCluster>(std::move(facts));
  }
  state.before = std::exchange(state.plans, {});
}

PlanPtr Compiler::State::plan(const std::string& name, ClusterState& state,
                              const MetadataStruct& metadata) {
  static const MetadataStruct kNoCriteria;
  const bool subset = state.cluster && state.cluster->lb.subset;
  const MetadataStruct& criteria = subset ? metadata : kNoCriteria;
  PlanPtr& known = state.plans[criteria];
  if (known) return known;
  const auto before = state.before.find(criteria);
  const sm_reason reason = leftAloneReason(state.cluster.get(), state.effective.get());
  if (reason != SM_REASON_NONE) {
    known = leaveAlonePlan(name, reason);
    return known;
  }
  std::optional<PrioritySet> local;
  if (state.local) {
    HostFacts facts;
    facts.ejected = state.localEjected;
    facts.nodeLocality = options.nodeLocality;
    local = prioritySet(*state.local, facts);
  }
  const PlanInputs inputs{*state.cluster,
                          *state.effective,
                          criteria,
                          state.ejected,
                          options.nodeLocality,
                          state.ages,
                          local ? &local->front() : nullptr,
                          now};
  known = planCluster(inputs, pool, before == state.before.end() ? nullptr : before->second.get());
  return known;
}

ListenerState& Compiler::State::build(const std::shared_ptr<const Listener>& listener) {
  ListenerState& state = listeners[listener->name];
  std::vector<ServiceLeg> legs;
  std::vector<PlanPtr> plans;
  std::vector<std::shared_ptr<const Cluster>> used;
  for (const WeightedCluster& leg : listener->route.clusters) {
    ClusterState& cluster = look(leg.name);
    plans.push_back(plan(leg.name, cluster, leg.metadataMatch));
    used.push_back(cluster.cluster);
    legs.push_back({cluster.cluster.get(), leg.weight, plans.back()});
  }
  if (state.listener == listener && state.plans == plans && state.clusters == used) return state;
  LbService service = buildService(*listener, legs, pool);
  std::vector<std::shared_ptr<const LbService>> services;
  for (std::size_t i = 0; i < listener->addresses.size(); ++i) {
    service.vip = listener->addresses[i];
    const bool same = i < state.services.size() && *state.services[i] == service;
    services.push_back(same ? state.services[i] : std::make_shared<const LbService>(service));
  }
  state = {listener, std::move(plans), std::move(used), std::move(services)};
  return state;
}

void Compiler::State::enter(const ListenerState& state, LbTables& made) const {
  for (const auto& service : state.services) {
    const auto [at, entered] =
        made.services.emplace(VipKey{service->vip, service->protocol}, service);
    if (entered) continue;
    const char* protocol = service->protocol == Protocol::kUdp ? "/udp" : "/tcp";
    made.conflicts.push_back({service->name, "VIP " + service->vip.toString() + protocol +
                                                 " belongs to listener " + at->second->name});
  }
}

// What no VIP leads to any more.
void Compiler::State::forget() {
  std::erase_if(clusters, [this](const auto& entry) { return entry.second.seenIn != run; });
  std::erase_if(listeners,
                [this](const auto& entry) { return !snapshot->listeners.contains(entry.first); });
}

Compiler::Compiler(CompilerOptions options) : state_(std::make_unique<State>(std::move(options))) {}
Compiler::~Compiler() = default;

std::shared_ptr<const LbTables> Compiler::compile(const Snapshot& snapshot,
                                                  const HealthOverlay& overlay, Nanos now) {
  State& state = *state_;
  ++state.run;
  state.snapshot = &snapshot;
  state.overlay = &overlay;
  state.now = now;
  auto made = std::make_shared<LbTables>();
  for (const auto& [name, listener] : snapshot.listeners) {
    if (listener->route.clusters.empty()) continue;
    state.enter(state.build(listener), *made);
  }
  state.forget();
  state.next.reset();
  for (auto& [name, cluster] : state.clusters) {
    cluster.before.clear();
    made->clusters.emplace_hint(made->clusters.end(), name, cluster.facts);
    state.next = earlier(state.next, cluster.nextChange);
  }
  state.tables = std::move(made);
  return state.tables;
}

std::optional<Nanos> Compiler::nextChange() const {
  return state_->next;
}

}  // namespace sockmesh
