// SPDX-License-Identifier: Apache-2.0
#include "lb/compiler.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "lb/cluster_states.h"
#include "lb/service_builder.h"

namespace sockmesh {
namespace {

// A listener as it was last built.
struct ListenerState {
  std::shared_ptr<const Listener> listener;
  std::uint64_t builtIn = 0;            // run
  std::vector<ClusterState*> clusters;  // of its legs; released when it leaves them
  std::vector<std::shared_ptr<const LbService>> services;  // one for each VIP
};

bool sameVips(const Listener* before, const Listener& now) {
  return before != nullptr && before->addresses == now.addresses &&
         before->protocol == now.protocol && before->source == now.source;
}

// A listener's service, as sockets of each reach have it.
class ByReach {
 public:
  ByReach(const Listener& listener, const std::vector<ServiceLeg>& legs, CellPool& pool)
      : both_(buildService(listener, legs, Reach::kBoth, pool)) {
    if (differs(legs, Reach::kIpv4)) ipv4_ = buildService(listener, legs, Reach::kIpv4, pool);
    if (differs(legs, Reach::kIpv6)) ipv6_ = buildService(listener, legs, Reach::kIpv6, pool);
  }

  // If a VIP's own family reaches every host, the VIP needs no other versions: a socket that cannot
  // reach that family cannot ask for the VIP, and the kernel refuses it.
  LbService serviceOf(const SocketAddress& vip, std::uint32_t affinitySeconds) const {
    LbService service = both_;
    const auto name = [&](LbService& one) {
      one.vip = vip;
      one.affinitySeconds = affinitySeconds;
    };
    name(service);
    const auto only = [&](std::optional<LbService> one) -> std::shared_ptr<const LbService> {
      if (!one) return nullptr;
      name(*one);
      return std::make_shared<const LbService>(std::move(*one));
    };
    if (vip.ip.isV4() ? ipv4_.has_value() : ipv6_.has_value()) {
      service.ipv4Only = only(ipv4_);
      service.ipv6Only = only(ipv6_);
    }
    return service;
  }

 private:
  LbService both_;
  std::optional<LbService> ipv4_;
  std::optional<LbService> ipv6_;
};

using Services = std::map<VipKey, std::shared_ptr<const LbService>>;

// Both maps are in order of key: one walk over the two.
std::set<VipKey> differing(const Services& before, const Services& now) {
  std::set<VipKey> keys;
  auto old = before.begin();
  for (const auto& [key, service] : now) {
    while (old != before.end() && old->first < key) keys.insert(keys.end(), (old++)->first);
    const bool known = old != before.end() && old->first == key;
    if (!known || old->second != service) keys.insert(keys.end(), key);
    if (known) ++old;
  }
  while (old != before.end()) keys.insert(keys.end(), (old++)->first);
  return keys;
}

}  // namespace

struct Compiler::State {
  explicit State(CompilerOptions given)
      : options(std::move(given)), clusters(options, pool), tables(std::make_shared<LbTables>()) {}

  void updateListeners(const Snapshot& snapshot);
  void updateListener(const Snapshot& snapshot, const std::string& name);
  void drop(const std::string& name);
  void update(ListenerState& state, const std::shared_ptr<const Listener>& listener);
  void build(ListenerState& state, const std::shared_ptr<const Listener>& listener);
  void publish();
  void enterAll(LbTables& made) const;
  void enterAll(VipSource source, LbTables& made) const;
  void replaceChanged(LbTables& made) const;

  CompilerOptions options;
  CellPool pool;
  ClusterStates clusters;
  std::map<std::string, ListenerState> listeners;
  std::shared_ptr<const LbTables> tables;

  // Of the run.
  bool vipsChanged = false;             // one came, went or may have another owner
  std::vector<ListenerState*> changed;  // listeners with other services than before
};

// All listeners, and the listeners that are gone.
void Compiler::State::updateListeners(const Snapshot& snapshot) {
  std::vector<std::string> gone;
  for (const auto& [name, state] : listeners) {
    if (!snapshot.listeners.contains(name)) gone.push_back(name);
  }
  for (const std::string& name : gone) updateListener(snapshot, name);
  for (const auto& [name, listener] : snapshot.listeners) updateListener(snapshot, name);
}

void Compiler::State::updateListener(const Snapshot& snapshot, const std::string& name) {
  const auto found = snapshot.listeners.find(name);
  if (found == snapshot.listeners.end() || found->second->route.clusters.empty()) {
    return drop(name);
  }
  update(listeners[name], found->second);
}

void Compiler::State::drop(const std::string& name) {
  const auto known = listeners.find(name);
  if (known == listeners.end()) return;
  for (ClusterState* cluster : known->second.clusters) clusters.release(*cluster, name);
  listeners.erase(known);
  vipsChanged = true;
}

void Compiler::State::update(ListenerState& state,
                             const std::shared_ptr<const Listener>& listener) {
  const bool same = std::all_of(
      state.clusters.begin(), state.clusters.end(),
      [&](const ClusterState* cluster) { return cluster->changedInPass <= state.builtIn; });
  if (state.listener != listener || !same) build(state, listener);
}

void Compiler::State::build(ListenerState& state, const std::shared_ptr<const Listener>& listener) {
  vipsChanged = vipsChanged || !sameVips(state.listener.get(), *listener);
  std::vector<ServiceLeg> legs;
  const auto before = std::exchange(state.clusters, {});
  for (const WeightedCluster& leg : listener->route.clusters) {
    ClusterState& cluster = clusters.use(leg.name, listener->name);
    state.clusters.push_back(&cluster);
    legs.push_back({.cluster = cluster.inputs.cluster.get(),
                    .weight = leg.weight,
                    .plans = clusters.plans(cluster, leg.metadataMatch)});
  }
  for (ClusterState* cluster : before) {
    const auto& now = state.clusters;
    if (std::find(now.begin(), now.end(), cluster) != now.end()) continue;
    clusters.release(*cluster, listener->name);
  }
  const ByReach byReach(*listener, legs, pool);
  std::vector<std::shared_ptr<const LbService>> services;
  for (const SocketAddress& vip : listener->addresses) {
    const auto again = [&](const auto& made) { return made->vip == vip; };
    if (std::any_of(services.begin(), services.end(), again)) continue;
    const LbService service =
        byReach.serviceOf(vip, options.affinity.secondsOf(listener->name, vip));
    const auto same = std::find_if(state.services.begin(), state.services.end(),
                                   [&](const auto& known) { return *known == service; });
    services.push_back(same != state.services.end() ? *same
                                                    : std::make_shared<const LbService>(service));
  }
  if (services != state.services) changed.push_back(&state);
  state.services = std::move(services);
  state.listener = listener;
  state.builtIn = clusters.run();
}

// Of the listeners that name a VIP, the first by source and then by name owns it.
void Compiler::State::enterAll(LbTables& made) const {
  for (const VipSource source :
       {VipSource::kAddress, VipSource::kPrefix, VipSource::kDomain, VipSource::kNameTable}) {
    enterAll(source, made);
  }
}

void Compiler::State::enterAll(VipSource source, LbTables& made) const {
  for (const auto& [name, state] : listeners) {
    if (state.listener->source != source) continue;
    for (const auto& service : state.services) {
      const VipKey key{service->vip, service->protocol};
      const auto [at, entered] = made.services.emplace(key, service);
      if (entered) continue;
      const char* protocol = service->protocol == Protocol::kUdp ? "/udp" : "/tcp";
      made.conflicts.push_back({name, "VIP " + service->vip.toString() + protocol +
                                          " belongs to listener " + at->second->name});
    }
  }
}

// All VIPs have their owners as before.
void Compiler::State::replaceChanged(LbTables& made) const {
  made.services = tables->services;
  made.conflicts = tables->conflicts;
  for (const ListenerState* state : changed) {
    for (const auto& service : state->services) {
      const VipKey key{service->vip, service->protocol};
      auto& current = made.services.at(key);
      if (current->name != service->name || current == service) continue;
      current = service;
      made.changed.services.insert(key);
    }
  }
}

void Compiler::State::publish() {
  if (!vipsChanged && changed.empty() && clusters.changedFacts().empty()) return;
  auto made = std::make_shared<LbTables>();
  made->changed.clusters = clusters.changedFacts();
  if (vipsChanged) {
    enterAll(*made);
    made->changed.services = differing(tables->services, made->services);
  } else {
    replaceChanged(*made);
  }
  for (const auto& [name, cluster] : clusters.byName()) {
    made->clusters.emplace_hint(made->clusters.end(), name, cluster.facts);
  }
  tables = std::move(made);
}

Compiler::Compiler(CompilerOptions options) : state_(std::make_unique<State>(std::move(options))) {}
Compiler::~Compiler() = default;

std::shared_ptr<const LbTables> Compiler::compile(const Snapshot& snapshot,
                                                  const HealthOverlay& overlay, Nanos now) {
  Changes everything;
  everything.all = true;
  return compile(snapshot, overlay, everything, now);
}

std::shared_ptr<const LbTables> Compiler::compile(const Snapshot& snapshot,
                                                  const HealthOverlay& overlay,
                                                  const Changes& changed, Nanos now) {
  State& state = *state_;
  state.vipsChanged = false;
  state.changed.clear();
  state.clusters.begin(snapshot, overlay, changed, now);
  if (changed.all) {
    state.updateListeners(snapshot);
  } else {
    std::set<std::string> names = state.clusters.affectedListeners();
    names.insert(changed.listeners.begin(), changed.listeners.end());
    for (const std::string& name : names) state.updateListener(snapshot, name);
  }
  state.clusters.end();
  state.publish();
  return state.tables;
}

std::optional<Nanos> Compiler::nextChange() const {
  return state_->clusters.nextChange();
}

}  // namespace sockmesh
