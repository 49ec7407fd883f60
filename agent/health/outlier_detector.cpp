// SPDX-License-Identifier: Apache-2.0
#include "health/outlier_detector.h"

#include <algorithm>
#include <set>
#include <utility>

#include "health/ejection_history.h"

namespace sockmesh {
namespace {

std::set<SocketAddress> addressesOf(const LoadAssignment* assignment) {
  std::set<SocketAddress> addresses;
  if (assignment == nullptr) return addresses;
  for (const auto& locality : assignment->localities)
    for (const auto& endpoint : locality.endpoints) addresses.insert(endpoint.address);
  return addresses;
}

// Envoy has no rule of "at least one", so small clusters never eject with the default of 10 %.
std::optional<std::string> limitWarning(const OutlierDetection& settings, std::size_t endpoints) {
  const std::uint32_t percent = std::min(settings.maxEjectionPercent, 100U);
  if (endpoints == 0 || percent * endpoints >= 100) return std::nullopt;
  const std::string of = "max_ejection_percent " + std::to_string(percent) + " of " +
                         std::to_string(endpoints) + (endpoints == 1 ? " endpoint" : " endpoints");
  if (!settings.alwaysEjectOneHost)
    return of + " ejects none (" + std::to_string((100 + endpoints - 1) / endpoints) +
           " would eject one)";
  if (endpoints == 1) return std::nullopt;
  return of + " ejects one endpoint at most (always_eject_one_host)";
}

}  // namespace

struct OutlierDetector::Host {
  Nanos since{0};  // watched since; ejections before that are an earlier agent's
  bool seen = false;
  EjectionHistory history;
  // As counted up to the last sweep.
  decltype(EndpointState::outcomes) outcomes{};
  std::uint64_t successes = 0;
  std::uint64_t failures = 0;
};

struct OutlierDetector::Watched {
  std::string name;
  std::shared_ptr<const Cluster> cluster;
  // Not kept alive: whoever gave it has it, or has given another one by now.
  std::weak_ptr<const LoadAssignment> assignment;
  std::map<SocketAddress, Host> hosts;  // none without outlier_detection
  std::map<SocketAddress, EndpointHealth> ejected;
  std::optional<Nanos> due;

  const OutlierDetection* settings() const {
    return cluster && cluster->outlierDetection ? &*cluster->outlierDetection : nullptr;
  }
  bool follows(const WatchedCluster& resources) const {
    return cluster == resources.cluster && !assignment.owner_before(resources.assignment) &&
           !resources.assignment.owner_before(assignment);
  }
};

OutlierDetector::OutlierDetector(EndpointStateAccess& states, OnEvent onEvent)
    : states_(states), onEvent_(std::move(onEvent)) {}

OutlierDetector::~OutlierDetector() = default;

// ---- what there is ----

void OutlierDetector::watch(const std::map<std::string, WatchedCluster>& changed, Nanos now) {
  std::set<std::string> names;
  for (const auto& [name, resources] : changed) {
    names.insert(names.end(), name);
    if (!resources.cluster) {
      forget(name);
      continue;
    }
    auto& watched = watched_[name];
    if (watched && watched->follows(resources)) continue;
    if (!watched) {
      watched = std::make_unique<Watched>();
      watched->name = name;
    }
    follow(*watched, resources, now);
  }
  publish(names);
}

void OutlierDetector::forget(const std::string& cluster) {
  const auto known = watched_.find(cluster);
  if (known == watched_.end()) return;
  setDue(*known->second, std::nullopt);
  warnings_.erase(cluster);
  watched_.erase(known);
}

void OutlierDetector::setDue(Watched& watched, std::optional<Nanos> due) {
  if (watched.due) due_.erase({*watched.due, watched.name});
  watched.due = due;
  if (due) due_.emplace(*due, watched.name);
}

void OutlierDetector::follow(Watched& watched, const WatchedCluster& resources, Nanos now) {
  const OutlierDetection* before = watched.settings();
  const std::optional<Nanos> oldInterval =
      before != nullptr ? std::optional(before->interval) : std::nullopt;
  watched.cluster = resources.cluster;
  watched.assignment = resources.assignment;
  warnings_.erase(watched.name);
  const OutlierDetection* settings = watched.settings();
  if (settings == nullptr) {
    unejectAll(watched, now);
    // The kernel may still eject until the new rules are written, so one more sweep follows.
    if (oldInterval) setDue(watched, now + *oldInterval);
    return;
  }
  const Nanos latest = now + settings->interval;
  setDue(watched, oldInterval && watched.due ? std::min(*watched.due, latest) : latest);

  std::map<SocketAddress, Host> hosts;
  for (const auto& address : addressesOf(resources.assignment.get())) {
    const auto known = watched.hosts.find(address);
    Host& host = hosts[address];
    if (known != watched.hosts.end())
      host = known->second;
    else
      host.since = now;
  }
  watched.hosts = std::move(hosts);
  observeAll(watched);
  if (auto warning = limitWarning(*settings, watched.hosts.size()))
    warnings_[watched.name] = *std::move(warning);
}

// Without outlier_detection no sweep would end an ejection.
void OutlierDetector::unejectAll(Watched& watched, Nanos now) {
  if (!states_.anyEjected(watched.name)) {
    watched.hosts.clear();
    watched.ejected.clear();
    return;
  }
  for (const auto& address : addressesOf(watched.assignment.lock().get())) {
    Host& host = watched.hosts[address];
    if (!host.seen) host.since = now;
    const auto state = observe(watched, address, host);
    if (!state || !state->ejected) continue;
    states_.uneject(watched.name, address);
    observe(watched, address, host);
  }
  watched.hosts.clear();
  watched.ejected.clear();
}

// ---- what the lines say ----

std::optional<EndpointState> OutlierDetector::observe(
    Watched& watched, const SocketAddress& address, Host& host,
    const std::optional<EjectionEvent::Rates>& rates) {
  const auto state = states_.read(watched.name, address);
  if (!state || !state->ejected)
    watched.ejected.erase(address);
  else
    watched.ejected[address] = {true};
  if (!state) {
    host.seen = false;
    return state;
  }
  // Counters only grow, unless the id belongs to another endpoint now.
  const bool another = state->successes < host.successes || state->failures < host.failures ||
                       state->ejections < host.history.ejections();
  if (!host.seen || another) {
    host.seen = true;
    host.outcomes = state->outcomes;
    host.successes = state->successes;
    host.failures = state->failures;
    host.history = {};
    if (state->ejectedAt <= host.since) host.history.adopt(*state);
  }
  for (auto& event : host.history.update(*state)) {
    event.cluster = watched.name;
    event.address = address;
    if (event.action == EjectionEvent::Action::kEject) event.rates = rates;
    onEvent_(event);
  }
  return state;
}

void OutlierDetector::observeAll(Watched& watched) {
  watched.ejected.clear();
  for (auto& [address, host] : watched.hosts) observe(watched, address, host);
}

void OutlierDetector::refresh(const std::string& cluster, Nanos now) {
  const auto found = watched_.find(cluster);
  if (found == watched_.end()) return;
  if (found->second->settings() != nullptr)
    observeAll(*found->second);
  else
    unejectAll(*found->second, now);
  publish({cluster});
}

void OutlierDetector::notEnforced(const std::string& cluster, const SocketAddress& address,
                                  Detector detector, Nanos now) {
  const auto found = watched_.find(cluster);
  if (found == watched_.end()) return;
  const auto host = found->second->hosts.find(address);
  if (host != found->second->hosts.end())
    tellNotEnforced(*found->second, address, host->second, detector, now);
}

void OutlierDetector::tellNotEnforced(const Watched& watched, const SocketAddress& address,
                                      const Host& host, Detector detector, Nanos now,
                                      const std::optional<EjectionEvent::Rates>& rates) {
  EjectionEvent event;
  event.detector = detector;
  event.cluster = watched.name;
  event.address = address;
  event.at = now;
  // From what was told so far: the state may already show an ejection that came after this event.
  if (const Nanos returned = host.history.unejectedAt(); returned.count() > 0)
    event.sinceLastAction = now - returned;
  event.ejections = host.history.ejections();
  event.enforced = false;
  event.rates = rates;
  onEvent_(event);
}

// Of these clusters. The others' ejections are as they were.
void OutlierDetector::publish(const std::set<std::string>& clusters) {
  static const std::map<SocketAddress, EndpointHealth> kNone;
  std::shared_ptr<HealthOverlay> next;
  for (const std::string& name : clusters) {
    const auto watched = watched_.find(name);
    const auto& now = watched == watched_.end() ? kNone : watched->second->ejected;
    const auto known = overlay_->byCluster.find(name);
    if (now == (known == overlay_->byCluster.end() ? kNone : known->second)) continue;
    if (!next) next = std::make_shared<HealthOverlay>(*overlay_);
    now.empty() ? void(next->byCluster.erase(name)) : void(next->byCluster[name] = now);
  }
  if (next) overlay_ = std::move(next);
}

// ---- sweeps ----

void OutlierDetector::sweep(Nanos now) {
  std::set<std::string> names;
  for (auto due = due_.begin(); due != due_.end() && due->first <= now; ++due) {
    names.insert(due->second);
  }
  for (const std::string& name : names) {
    Watched& watched = *watched_.at(name);
    if (watched.settings() != nullptr) {
      sweepCluster(watched, now);
    } else {
      unejectAll(watched, now);
      setDue(watched, std::nullopt);
    }
  }
  publish(names);
}

std::optional<Nanos> OutlierDetector::nextSweep() const {
  if (due_.empty()) return std::nullopt;
  return due_.begin()->first;
}

void OutlierDetector::sweepCluster(Watched& watched, Nanos now) {
  const OutlierDetection& settings = *watched.settings();
  states_.recount(watched.name);
  const Nanos end = unejectDue(watched, now);
  evaluate(watched, now);
  decay(watched, settings.interval, now);
  // Counted from the sweep's end, as Envoy arms its timer: an endpoint that this sweep unejected
  // has been back for a whole interval in the next one.
  setDue(watched, end + settings.interval);
}

Nanos OutlierDetector::unejectDue(Watched& watched, Nanos now) {
  Nanos end = now;
  for (auto& [address, host] : watched.hosts) {
    auto state = observe(watched, address, host);
    if (!state || !state->ejected || state->ejectedUntil > now) continue;
    states_.uneject(watched.name, address);
    state = observe(watched, address, host);
    if (state) end = std::max(end, state->unejectedAt);
  }
  return end;
}

// Each client's outcomes are judged by themselves, as its own Envoy would: volume is no weight.
void OutlierDetector::evaluate(Watched& watched, Nanos now) {
  std::array<std::vector<HostOutcomes>, EndpointState::kClients> outcomes;
  std::vector<std::pair<const SocketAddress*, Host*>> evaluated;
  for (auto& [address, host] : watched.hosts) {
    const auto state = states_.read(watched.name, address);
    if (!state || !host.seen) continue;
    for (std::size_t client = 0; client < outcomes.size() && !state->ejected; ++client) {
      const auto& [successes, failures] = state->outcomes[client];
      const auto& before = host.outcomes[client];
      outcomes[client].push_back({successes - before.successes, failures - before.failures});
    }
    // Also for ejected endpoints: what they did meanwhile does not count later.
    host.outcomes = state->outcomes;
    host.successes = state->successes;
    host.failures = state->failures;
    if (!state->ejected) evaluated.emplace_back(&address, &host);
  }
  for (std::size_t client = 0; client < outcomes.size(); ++client) {
    for (const auto& outlier :
         statisticalOutliers(outcomes[client], watched.hosts.size(), *watched.settings())) {
      const auto& [address, host] = evaluated[outlier.host];
      detected(watched, *address, *host, client, outlier, now);
    }
  }
}

void OutlierDetector::detected(Watched& watched, const SocketAddress& address, Host& host,
                               std::size_t client, const StatisticalOutlier& outlier, Nanos now) {
  if (watched.ejected.contains(address)) return;  // just now, by success rate
  const Detection detection =
      states_.detect(watched.name, address, client, outlier.detector, outlier.enforcingPercent);
  if (detection == Detection::kEjected)
    observe(watched, address, host, outlier.rates);
  else if (detection == Detection::kNotEnforced)
    tellNotEnforced(watched, address, host, outlier.detector, now, outlier.rates);
}

void OutlierDetector::decay(Watched& watched, Nanos interval, Nanos now) {
  for (const auto& [address, host] : watched.hosts) {
    const auto state = states_.read(watched.name, address);
    if (!state || state->ejected || state->multiplier == 0 || state->unejectedAt.count() == 0)
      continue;
    if (now - state->unejectedAt >= interval)
      states_.setMultiplier(watched.name, address, state->multiplier - 1);
  }
}

}  // namespace sockmesh
