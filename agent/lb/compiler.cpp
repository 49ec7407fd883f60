// SPDX-License-Identifier: Apache-2.0
#include "lb/compiler.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>
#include <utility>
#include <vector>

#include "lb/cluster_states.h"
#include "lb/service_builder.h"

namespace sockmesh {
namespace {

// A listener as it was last built.
struct ListenerState {
  std::string name;
  std::shared_ptr<const Listener> listener;
  std::uint64_t builtIn = 0;            // run
  std::vector<ClusterState*> clusters;  // of its legs; released when it leaves them
  std::vector<std::shared_ptr<const LbService>> services;  // one for each VIP
  VipSource source = VipSource::kAddress;                  // of the services
};

// In this order the listeners of one VIP own it.
auto rankOf(const ListenerState* state) {
  return std::tie(state->source, state->name);
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
  LbService serviceOf(const Vip& vip, std::uint32_t affinitySeconds) const {
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

// Whether a VIP has a family in which some host cannot be reached. Otherwise all sockets that can
// ask for the VIPs reach every host.
bool dependsOnReach(const Listener& listener, const std::vector<ClusterState*>& clusters) {
  return std::ranges::any_of(listener.addresses, [&](const Vip& vip) {
    const Reach own = vip.ip.isV4() ? Reach::kIpv4 : Reach::kIpv6;
    return std::ranges::any_of(
        clusters, [&](const ClusterState* cluster) { return !cluster->families.all(own); });
  });
}

VipKey keyOf(const LbService& service) {
  return {service.vip, service.protocol};
}

// Enters a value, or removes the entry where it is null. False: it was like that before.
template <typename T, typename Key, typename K>
bool put(SharedMap<std::shared_ptr<const T>, Key>& map, const K& key,
         const std::shared_ptr<const T>& value) {
  const auto found = map.find(key);
  if (found == map.end() ? value == nullptr : found->second == value) return false;
  value ? void(map[key] = value) : void(map.erase(key));
  return true;
}

// The service of a VIP that is left out, where the range of a service has it.
LbService leftOutService(const std::string& name, const VipKey& key) {
  auto group = std::make_shared<LbGroup>();
  group->policy = SM_POLICY_LEAVE_ALONE;
  group->reason = SM_REASON_LEFT_OUT;
  LbService service;
  service.name = name;
  service.vip = key.vip;
  service.protocol = key.protocol;
  service.groups.push_back(std::move(group));
  return service;
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
  std::vector<std::shared_ptr<const LbService>> makeServices(const ListenerState& state,
                                                             const Listener& listener,
                                                             const std::vector<ServiceLeg>& legs);
  void claim(ListenerState& state, std::vector<std::shared_ptr<const LbService>> services,
             VipSource source);
  void publish();
  bool settleConflicts(LbTables& made);
  std::vector<LeftAlone> conflicts() const;
  std::shared_ptr<const LbService> ownerOf(const VipKey& key) const;
  void setHoles(const std::string& name, const std::vector<Vip>* vips);
  void updateHoles(const Snapshot& snapshot, const std::string& name);
  void touch(const VipKey& key);
  bool isInRange(const Vip& vip) const;
  std::shared_ptr<const LbService> holeAt(const VipKey& key) const;
  std::shared_ptr<const LbCluster> factsOf(const std::string& cluster) const;

  CompilerOptions options;
  CellPool pool;
  ClusterStates clusters;
  std::map<std::string, ListenerState> listeners;
  // By VIP: the listeners that have it, by source and then by name. The first one owns it.
  std::map<VipKey, std::vector<const ListenerState*>> claims;
  std::set<VipKey> contested;  // claimed more than once
  // What the parts of listeners leave out, by part; and the parts, by VIP.
  std::map<std::string, std::vector<Vip>> holes;
  std::map<VipKey, std::set<std::string>> leftOut;
  std::shared_ptr<const LbTables> tables;

  // VIPs that came, went or have another service, in this run.
  std::set<VipKey> touched;
};

// All listeners, and the listeners that are gone.
void Compiler::State::updateListeners(const Snapshot& snapshot) {
  std::set<std::string> names;
  for (const auto& [name, state] : listeners) names.insert(name);
  for (const auto& [name, vips] : holes) names.insert(name);
  for (const auto& [name, left] : snapshot.leftAlone) names.insert(name);
  for (const auto& [name, listener] : snapshot.listeners) names.insert(name);
  for (const std::string& name : names) updateListener(snapshot, name);
}

// The VIP may lead elsewhere. What is left out inside a range depends on the range.
void Compiler::State::touch(const VipKey& key) {
  touched.insert(key);
  if (!key.vip.isRange()) return;
  const VipKey first{Vip(key.vip.ip, 0, 0), Protocol::kTcp};
  for (auto it = leftOut.lower_bound(first); it != leftOut.end(); ++it) {
    if (!key.vip.contains(it->first.vip.ip)) break;
    if (key.vip.contains(it->first.vip)) touched.insert(it->first);
  }
}

void Compiler::State::setHoles(const std::string& name, const std::vector<Vip>* vips) {
  const auto known = holes.find(name);
  const bool none = vips == nullptr || vips->empty();
  if (known == holes.end() ? none : !none && known->second == *vips) return;
  if (known != holes.end()) {
    for (const Vip& vip : known->second) {
      const VipKey key{vip, Protocol::kTcp};
      touched.insert(key);
      const auto parts = leftOut.find(key);
      if (parts == leftOut.end()) continue;
      parts->second.erase(name);
      if (parts->second.empty()) leftOut.erase(parts);
    }
    holes.erase(known);
  }
  if (none) return;
  for (const Vip& vip : *vips) {
    touched.insert({vip, Protocol::kTcp});
    leftOut[{vip, Protocol::kTcp}].insert(name);
  }
  holes[name] = *vips;
}

void Compiler::State::updateHoles(const Snapshot& snapshot, const std::string& name) {
  const auto part = snapshot.listeners.find(name);
  if (part != snapshot.listeners.end()) return setHoles(name, &part->second->holes);
  const auto left = snapshot.leftAlone.find(name);
  setHoles(name, left == snapshot.leftAlone.end() ? nullptr : &left->second->holes);
}

// Whether the range of a service has the VIP. The cost grows with the bits of an address.
bool Compiler::State::isInRange(const Vip& vip) const {
  for (unsigned bits = vip.bits; bits-- > 1;) {
    const Vip range(maskedTo(vip.ip, bits), vip.port, static_cast<std::uint8_t>(bits));
    if (range.contains(vip) && claims.contains({range, Protocol::kTcp})) return true;
  }
  return false;
}

// What an unclaimed VIP is: left out inside a range, or nothing. An equal service stays the object
// that the tables have.
std::shared_ptr<const LbService> Compiler::State::holeAt(const VipKey& key) const {
  const auto parts = leftOut.find(key);
  if (parts == leftOut.end() || !isInRange(key.vip)) return nullptr;
  LbService service = leftOutService(*parts->second.begin(), key);
  const auto there = tables->services.find(key);
  if (there != tables->services.end() && *there->second == service) return there->second;
  return std::make_shared<const LbService>(std::move(service));
}

void Compiler::State::updateListener(const Snapshot& snapshot, const std::string& name) {
  updateHoles(snapshot, name);
  const auto found = snapshot.listeners.find(name);
  if (found == snapshot.listeners.end() || found->second->route.clusters.empty()) {
    return drop(name);
  }
  ListenerState& state = listeners[name];
  state.name = name;
  update(state, found->second);
}

void Compiler::State::drop(const std::string& name) {
  const auto known = listeners.find(name);
  if (known == listeners.end()) return;
  for (ClusterState* cluster : known->second.clusters) clusters.release(*cluster, name);
  claim(known->second, {}, known->second.source);
  listeners.erase(known);
}

void Compiler::State::update(ListenerState& state,
                             const std::shared_ptr<const Listener>& listener) {
  const bool same = std::all_of(
      state.clusters.begin(), state.clusters.end(),
      [&](const ClusterState* cluster) { return cluster->changedInPass <= state.builtIn; });
  if (state.listener != listener || !same) build(state, listener);
}

void Compiler::State::build(ListenerState& state, const std::shared_ptr<const Listener>& listener) {
  const auto before = std::exchange(state.clusters, {});
  for (const WeightedCluster& leg : listener->route.clusters) {
    state.clusters.push_back(&clusters.use(leg.name, listener->name));
  }
  const bool byReach = dependsOnReach(*listener, state.clusters);
  std::vector<ServiceLeg> legs;
  for (std::size_t i = 0; i < state.clusters.size(); ++i) {
    const WeightedCluster& leg = listener->route.clusters[i];
    ClusterState& cluster = *state.clusters[i];
    legs.push_back({.cluster = cluster.inputs.cluster.get(),
                    .weight = leg.weight,
                    .plans = clusters.plans(cluster, leg.metadataMatch, byReach)});
  }
  for (ClusterState* cluster : before) {
    const auto& now = state.clusters;
    if (std::find(now.begin(), now.end(), cluster) != now.end()) continue;
    clusters.release(*cluster, listener->name);
  }
  claim(state, makeServices(state, *listener, legs), listener->source);
  state.listener = listener;
  state.builtIn = clusters.run();
}

// One for each VIP. A service that is equal to the one before is the same object.
std::vector<std::shared_ptr<const LbService>> Compiler::State::makeServices(
    const ListenerState& state, const Listener& listener, const std::vector<ServiceLeg>& legs) {
  const ByReach byReach(listener, legs, pool);
  std::vector<std::shared_ptr<const LbService>> services;
  for (const Vip& vip : listener.addresses) {
    const auto again = [&](const auto& made) { return made->vip == vip; };
    if (std::any_of(services.begin(), services.end(), again)) continue;
    LbService service = byReach.serviceOf(vip, options.affinity.secondsOf(listener.name, vip));
    const auto same = std::find_if(state.services.begin(), state.services.end(),
                                   [&](const auto& known) { return *known == service; });
    services.push_back(same != state.services.end()
                           ? *same
                           : std::make_shared<const LbService>(std::move(service)));
  }
  return services;
}

// The listener has these services from now on.
void Compiler::State::claim(ListenerState& state,
                            std::vector<std::shared_ptr<const LbService>> services,
                            VipSource source) {
  if (services == state.services && source == state.source) return;
  for (const auto& service : state.services) {
    touch(keyOf(*service));
    const auto known = claims.find(keyOf(*service));
    std::erase(known->second, &state);
    if (known->second.empty()) claims.erase(known);
  }
  state.source = source;
  for (const auto& service : services) {
    touch(keyOf(*service));
    auto& known = claims[keyOf(*service)];
    known.insert(std::ranges::lower_bound(known, rankOf(&state), {}, rankOf), &state);
  }
  state.services = std::move(services);
}

// Null where no listener has the VIP, and no service gets its connections.
std::shared_ptr<const LbService> Compiler::State::ownerOf(const VipKey& key) const {
  const auto known = claims.find(key);
  if (known == claims.end()) return holeAt(key);
  const auto& services = known->second.front()->services;
  return *std::ranges::find(services, key, [](const auto& service) { return keyOf(*service); });
}

// Null where no VIP leads to the cluster.
std::shared_ptr<const LbCluster> Compiler::State::factsOf(const std::string& cluster) const {
  const auto known = clusters.byName().find(cluster);
  return known == clusters.byName().end() ? nullptr : known->second.facts;
}

// True where a VIP that changed is or was claimed more than once.
bool Compiler::State::settleConflicts(LbTables& made) {
  bool any = false;
  for (const VipKey& key : touched) {
    const auto known = claims.find(key);
    const bool now = known != claims.end() && known->second.size() > 1;
    any = any || now || contested.contains(key);
    now ? void(contested.insert(key)) : void(contested.erase(key));
  }
  if (any) made.conflicts = std::make_shared<const std::vector<LeftAlone>>(conflicts());
  return any;
}

// By listener. The cost grows with the VIPs that are claimed more than once.
std::vector<LeftAlone> Compiler::State::conflicts() const {
  std::map<std::string, const ListenerState*> losers;
  for (const VipKey& key : contested) {
    const auto& claimants = claims.at(key);
    for (auto it = claimants.begin() + 1; it != claimants.end(); ++it) losers[(*it)->name] = *it;
  }
  std::vector<LeftAlone> out;
  for (const auto& [name, state] : losers) {
    for (const auto& service : state->services) {
      const auto* owner = claims.at(keyOf(*service)).front();
      if (owner == state) continue;
      const char* protocol = service->protocol == Protocol::kUdp ? "/udp" : "/tcp";
      out.push_back({name, "VIP " + service->vip.toString() + protocol + " belongs to listener " +
                               owner->name});
    }
  }
  return out;
}

void Compiler::State::publish() {
  if (touched.empty() && clusters.changedFacts().empty()) return;
  auto made = std::make_shared<LbTables>();
  made->services = tables->services;
  made->clusters = tables->clusters;
  made->conflicts = tables->conflicts;
  made->before = tables.get();
  for (const VipKey& key : touched) {
    if (put(made->services, key, ownerOf(key))) made->changed.services.insert(key);
  }
  for (const std::string& name : clusters.changedFacts()) {
    if (put(made->clusters, name, factsOf(name))) made->changed.clusters.insert(name);
  }
  const bool otherConflicts = settleConflicts(*made);
  if (made->changed.empty() && !otherConflicts) return;
  tables = std::move(made);
}

Compiler::Compiler(CompilerOptions options) : state_(std::make_unique<State>(std::move(options))) {}
Compiler::~Compiler() = default;

std::shared_ptr<const LbTables> Compiler::compile(const Snapshot& snapshot,
                                                  const HealthOverlay& overlay, Nanos now) {
  return compile(snapshot, overlay, Changes::everything(), now);
}

std::shared_ptr<const LbTables> Compiler::compile(const Snapshot& snapshot,
                                                  const HealthOverlay& overlay,
                                                  const Changes& changed, Nanos now) {
  State& state = *state_;
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
  // Here, because a small change that follows should not pay for freeing the sets of a large one.
  state.touched.clear();
  state.clusters.forgetFacts();
  return state.tables;
}

std::set<std::string> Compiler::takeChangedClusters() {
  return state_->clusters.takeChangedInputs();
}

std::optional<Nanos> Compiler::nextChange() const {
  return state_->clusters.nextChange();
}

}  // namespace sockmesh
