// SPDX-License-Identifier: Apache-2.0
#include "store/warming.h"

#include <algorithm>
#include <deque>

#include "decode/type_urls.h"

namespace sockmesh {
namespace {

const Listener* vipsOf(const std::optional<ListenerPart>& version) {
  return version ? version->vips.get() : nullptr;
}

// The addresses of `with` that `without` does not have; either may be null.
std::vector<std::pair<Vip, Protocol>> vipsBeyond(const Listener* with, const Listener* without) {
  std::vector<std::pair<Vip, Protocol>> vips;
  if (with == nullptr) return vips;
  for (const Vip& address : with->addresses) {
    const bool shared = without != nullptr && without->protocol == with->protocol &&
                        std::ranges::find(without->addresses, address) != without->addresses.end();
    if (!shared) vips.emplace_back(address, with->protocol);
  }
  return vips;
}

bool pointsAt(const Listener* listener, const std::string& cluster) {
  if (listener == nullptr) return false;
  return std::ranges::any_of(listener->route.clusters,
                             [&](const WeightedCluster& leg) { return leg.name == cluster; });
}

// For people.
std::string endpointsOf(const Cluster& cluster) {
  return cluster.dns ? "its DNS names" : cluster.edsName;
}

std::string joined(const std::set<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

}  // namespace

Warming::Warming(Snapshot& inForce,
                 const std::function<WantedNames&(std::string_view url)>& wantedOf)
    : inForce_(inForce), endpoints_(wantedOf(kAssignmentType)), listeners_(wantedOf(kRouteType)) {}

// A version of interest: in force, or the newest one.
void Warming::want(const Cluster& version) {
  if (version.dns) {
    if (!resolved_.contains(version.edsName)) dnsChanges_[version.edsName] = version.dns;
    resolved_.add(version.edsName, Nanos(0));
  }
  if (version.type != DiscoveryType::kEds) return;
  endpoints_.add(version.edsName, version.edsInitialFetchTimeout);
}

void Warming::unwant(const Cluster& version) {
  if (version.dns) resolved_.remove(version.edsName, Nanos(0));
  if (version.type != DiscoveryType::kEds) return;
  endpoints_.remove(version.edsName, version.edsInitialFetchTimeout);
}

void Warming::dropPendingCluster(const std::string& name) {
  const auto pending = pendingClusters_.find(name);
  if (pending == pendingClusters_.end()) return;
  if (pending->second) unwant(**pending->second);
  pendingClusters_.erase(pending);
}

void Warming::setCluster(const std::string& name, ClusterPtr newest) {
  want(*newest);
  dropPendingCluster(name);
  pendingClusters_[name] = std::move(newest);
}

void Warming::removeCluster(const std::string& name) {
  dropPendingCluster(name);
  pendingClusters_[name] = std::nullopt;
}

void Warming::setListener(const std::string& name, ListenerSet::ListenerPtr newest) {
  listeners_.set(name, std::move(newest));
}

void Warming::removeListener(const std::string& name) {
  listeners_.remove(name);
}

void Warming::setRoutes(const std::string& name, ListenerSet::RoutesPtr newest) {
  listeners_.setRoutes(name, std::move(newest));
}

void Warming::removeRoutes(const std::string& name) {
  listeners_.removeRoutes(name);
}

void Warming::setNames(ListenerSet::NamesPtr newest) {
  listeners_.setNames(std::move(newest));
}

void Warming::setEndpoints(const std::string& edsName, EndpointsPtr newest) {
  inForce_.assignments[edsName] = std::move(newest);
  inForce_.changed.assignments.insert(edsName);
}

void Warming::removeEndpoints(const std::string& edsName) {
  if (inForce_.assignments.erase(edsName) > 0) inForce_.changed.assignments.insert(edsName);
}

bool Warming::setResolved(const std::string& resolvedName, EndpointsPtr newest) {
  if (!resolved_.contains(resolvedName)) return false;
  setEndpoints(resolvedName, std::move(newest));
  resolved_.arrived(resolvedName);
  return true;
}

Warming::Discoveries Warming::takeDnsChanges() {
  return std::exchange(dnsChanges_, {});
}

// Endpoints that no version wants any more.
void Warming::dropResolved() {
  for (const std::string& name : resolved_.takeReleased()) {
    removeEndpoints(name);
    dnsChanges_[name] = nullptr;
  }
}

bool Warming::setClustersListed(bool listed) {
  if (std::exchange(inForce_.clustersListed, listed) == listed) return false;
  inForce_.changed.all = true;
  return true;
}

void Warming::expireCluster(const std::string& name) {
  dropPendingCluster(name);
  expired_ = expired_ || inForce_.clusters.contains(name);
  enforceCluster(name, std::nullopt);
}

void Warming::expireListener(const std::string& name) {
  for (const std::string& part : listeners_.drop(name)) {
    pendingListeners_.erase(part);
    expired_ = expired_ || inForce_.listeners.contains(part) || inForce_.leftAlone.contains(part);
    enforceListener(part, std::nullopt);
  }
}

bool Warming::settle() {
  // In this order: a cluster in force lets listeners in, and these listeners let go of other
  // clusters.
  bool changed = std::exchange(expired_, false);
  changed = settleClusters() || changed;
  auto parts = listeners_.takeChanged([this](const std::string& part) { return serves(part); });
  for (auto& [name, part] : parts) pendingListeners_[name] = std::move(part);
  changed = settleListeners() || changed;
  changed = dropUnused() || changed;
  dropResolved();
  return changed;
}

bool Warming::ready(const Cluster& cluster) const {
  if (cluster.dns) return !cluster.dns->waitForFirst || resolved_.hasArrived(cluster.edsName);
  return cluster.type != DiscoveryType::kEds || endpoints_.hasArrived(cluster.edsName);
}

bool Warming::readyInForce(const std::string& cluster) const {
  const auto found = inForce_.clusters.find(cluster);
  return found != inForce_.clusters.end() && ready(*found->second);
}

bool Warming::settleClusters() {
  const auto enforce = [this](const auto& pending) {
    const auto& [name, newest] = pending;
    if (readyInForce(name) && (!newest || !ready(**newest))) return false;
    enforceCluster(name, newest);
    return true;
  };
  return std::erase_if(pendingClusters_, enforce) > 0;
}

// The version in force is wanted no more, and `newest` was wanted while it was pending.
void Warming::enforceCluster(const std::string& name, const std::optional<ClusterPtr>& newest) {
  const auto before = inForce_.clusters.find(name);
  if (before != inForce_.clusters.end()) unwant(*before->second);
  if (newest) {
    inForce_.clusters[name] = *newest;
  } else if (before != inForce_.clusters.end()) {
    inForce_.clusters.erase(name);
  }
  inForce_.changed.clusters.insert(name);
}

// Removes clusters that the server has removed and that no listener in force points at.
bool Warming::dropUnused() {
  const auto drop = [this](const auto& pending) {
    if (pending.second || legs_.contains(pending.first)) return false;
    enforceCluster(pending.first, std::nullopt);
    return true;
  };
  return std::erase_if(pendingClusters_, drop) > 0;
}

bool Warming::settleListeners() {
  const std::set<std::string> held = heldListeners();
  const auto enforce = [&](const auto& pending) {
    if (held.contains(pending.first)) return false;
    enforceListener(pending.first, pending.second);
    return true;
  };
  return std::erase_if(pendingListeners_, enforce) > 0;
}

const Listener* Warming::inForce(const std::string& listener) const {
  const auto found = inForce_.listeners.find(listener);
  return found == inForce_.listeners.end() ? nullptr : found->second.get();
}

bool Warming::serves(const std::string& listener) const {
  const Listener* version = inForce(listener);
  return version != nullptr &&
         std::ranges::any_of(version->route.clusters,
                             [this](const auto& leg) { return readyInForce(leg.name); });
}

// The clusters that a newest version waits for.
std::set<std::string> Warming::waitsFor(const std::string& name,
                                        const std::optional<ListenerPart>& newest) const {
  std::set<std::string> all;
  std::set<std::string> added;  // those that the version in force does not point at
  const Listener* version = vipsOf(newest);
  if (version == nullptr) return all;
  bool serves = false;
  for (const WeightedCluster& leg : version->route.clusters) {
    if (readyInForce(leg.name)) {
      serves = true;
    } else if (inForce_.clusters.contains(leg.name)) {
      all.insert(leg.name);
      if (!pointsAt(inForce(name), leg.name)) added.insert(leg.name);
    }
  }
  return serves ? added : all;
}

// By VIP: the listeners that serve it and whose newest versions do not have it.
Warming::Givers Warming::givers() const {
  Givers givers;
  for (const auto& [name, newest] : pendingListeners_) {
    if (!serves(name)) continue;
    for (const Taken& vip : vipsBeyond(inForce(name), vipsOf(newest))) givers.emplace(vip, name);
  }
  return givers;
}

std::set<std::string> Warming::heldListeners() const {
  std::set<std::string> held;
  std::vector<std::string> waiting;
  for (const auto& [name, newest] : pendingListeners_) {
    if (!waitsFor(name, newest).empty()) waiting.push_back(name);
  }
  if (waiting.empty()) return held;

  const Givers given = givers();
  const auto taken = [&](const std::string& name) {
    return vipsBeyond(vipsOf(pendingListeners_.at(name)), inForce(name));
  };
  std::deque<std::string> open;
  for (const std::string& name : waiting) {
    const bool takesOver =
        std::ranges::any_of(taken(name), [&](const Taken& vip) { return given.contains(vip); });
    if (serves(name) || takesOver) open.push_back(name);
  }
  // A listener that gives a VIP to a listener that is held is also held.
  for (; !open.empty(); open.pop_front()) {
    if (!held.insert(open.front()).second) continue;
    for (const Taken& vip : taken(open.front())) {
      const auto [first, last] = given.equal_range(vip);
      for (auto giver = first; giver != last; ++giver) open.push_back(giver->second);
    }
  }
  return held;
}

void Warming::enforceListener(const std::string& name, const std::optional<ListenerPart>& newest) {
  countLegs(name, -1);
  if (!newest || !newest->vips) inForce_.listeners.erase(name);
  inForce_.leftAlone.erase(name);
  if (newest && newest->vips) {
    inForce_.listeners[name] = newest->vips;
  } else if (newest) {
    inForce_.leftAlone[name] = std::make_shared<const LeftAlone>(newest->leftAlone);
  }
  inForce_.changed.listeners.insert(name);
  countLegs(name, 1);
}

void Warming::countLegs(const std::string& listener, int by) {
  const Listener* version = inForce(listener);
  if (version == nullptr) return;
  for (const WeightedCluster& leg : version->route.clusters) {
    const auto entry = legs_.try_emplace(leg.name, 0).first;
    entry->second += by;
    if (entry->second == 0) legs_.erase(entry);
  }
}

std::vector<HeldVersion> Warming::heldVersions() const {
  std::vector<HeldVersion> held;
  for (const auto& [name, newest] : pendingClusters_) {
    held.push_back({"CDS", name,
                    newest
                        ? "its newest version waits for the endpoints of " + endpointsOf(**newest)
                        : "the control plane removed it, and listeners still point at it"});
  }
  for (const auto& [name, newest] : pendingListeners_) {
    const std::set<std::string> clusters = waitsFor(name, newest);
    held.push_back({"LDS", name,
                    clusters.empty()
                        ? "the listener that takes over one of its VIPs waits for endpoints"
                        : "its newest version waits for the endpoints of " + joined(clusters)});
  }
  for (HeldVersion& one : listeners_.held()) held.push_back(std::move(one));
  return held;
}

void Warming::describe() {
  inForce_.held = heldVersions();
  inForce_.listenerResources = listeners_.size();
  inForce_.routeResources = listeners_.routes();
  inForce_.nameTables = listeners_.hasNames() ? 1 : 0;
  inForce_.missingRoutes = listeners_.missing();
}

bool Warming::replacementWaitsFor(const std::string& edsName) const {
  return std::ranges::any_of(pendingClusters_, [&](const auto& pending) {
    return pending.second && (*pending.second)->edsName == edsName;
  });
}

bool Warming::listenerWaitsFor(const std::string& routes) const {
  return listeners_.replacementWaitsFor(routes);
}

}  // namespace sockmesh
