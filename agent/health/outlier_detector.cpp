// SPDX-License-Identifier: Apache-2.0
#include "health/outlier_detector.h"

#include <algorithm>
#include <memory>
#include <set>
#include <utility>

namespace sockmesh {
namespace {

// What is sorted at once, between two breaths.
constexpr std::size_t kPart = 512;

// Sorts a part at a time, then merges them.
void sort(std::vector<SocketAddress>& addresses, Breather& breathe) {
  const std::size_t size = addresses.size();
  const auto at = [&](std::size_t index) {
    return addresses.begin() + static_cast<std::ptrdiff_t>(std::min(index, size));
  };
  for (std::size_t from = 0; from < size; from += kPart, breathe()) {
    if (!std::is_sorted(at(from), at(from + kPart))) std::sort(at(from), at(from + kPart));
  }
  for (std::size_t part = kPart; part < size; part *= 2) {
    for (std::size_t from = 0; from + part < size; from += 2 * part, breathe()) {
      std::inplace_merge(at(from), at(from + part), at(from + 2 * part));
    }
  }
}

// The addresses of the endpoints in order, each once.
std::vector<SocketAddress> addressesOf(const LoadAssignment* assignment, Breather& breathe) {
  std::vector<SocketAddress> addresses;
  if (assignment == nullptr) return addresses;
  addresses.reserve(assignment->endpointCount());
  for (const auto& locality : assignment->localities) {
    for (const auto& endpoint : locality.endpoints) {
      addresses.push_back(endpoint.address);
      breathe();
    }
  }
  sort(addresses, breathe);
  addresses.erase(std::unique(addresses.begin(), addresses.end()), addresses.end());
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

bool follows(const SweptCluster& known, const WatchedCluster& resources) {
  return known.cluster == resources.cluster &&
         !known.assignment.owner_before(resources.assignment) &&
         !resources.assignment.owner_before(known.assignment);
}

}  // namespace

OutlierDetector::OutlierDetector(EndpointStateAccess& states, OnEvent onEvent)
    : states_(states), onEvent_(std::move(onEvent)) {}

OutlierDetector::~OutlierDetector() = default;

// ---- what there is ----

void OutlierDetector::watch(const std::map<std::string, WatchedCluster>& changed, Nanos now) {
  Breather never;
  watch(changed, now, never);
}

void OutlierDetector::watch(const std::map<std::string, WatchedCluster>& changed, Nanos now,
                            Breather& breathe) {
  // Numbers of clusters may have gone from one to another: all are given back first.
  for (const auto& [name, resources] : changed) {
    const auto known = watched_.find(name);
    if (known != watched_.end()) stir(*known->second);
    breathe();
  }
  std::vector<Name> names;
  for (const auto& [name, resources] : changed) {
    names.emplace_back(name);
    breathe();
    if (!resources.cluster) {
      forget(name, breathe);
      continue;
    }
    auto& watched = watched_[names.back()];
    if (!watched) {
      watched = std::make_unique<SweptCluster>();
      watched->name = names.back();
    }
    if (!follows(*watched, resources)) follow(*watched, resources, now, breathe);
    rest(*watched, breathe);
  }
  publish(names);
}

void OutlierDetector::forget(const std::string& cluster, Breather& breathe) {
  const auto known = watched_.find(cluster);
  if (known == watched_.end()) return;
  stir(*known->second);
  unlistAll(*known->second, breathe);
  setDue(*known->second, std::nullopt);
  warnings_.erase(cluster);
  watched_.erase(known);
}

void OutlierDetector::setDue(SweptCluster& watched, std::optional<Nanos> due) {
  if (watched.due) due_.erase({*watched.due, watched.name});
  watched.due = due;
  if (due) due_.emplace(*due, watched.name);
}

// From now on the cluster is swept only if it has traffic, if it can be so.
void OutlierDetector::rest(SweptCluster& watched, Breather& breathe) {
  const OutlierDetection* settings = watched.settings();
  if (settings == nullptr || !watched.due || watched.restless != 0) return;
  const std::uint32_t number = states_.clusterNumber(watched.name);
  if (number == 0 || states_.anyEjected(number) || states_.anyMarked(watched.name, breathe)) return;
  watched.number = number;
  watched.resting = &resting_.add(number, *watched.due, settings->interval);
  setDue(watched, std::nullopt);
}

// The cluster rests no more: it is swept when it would have been.
void OutlierDetector::stir(SweptCluster& watched) {
  if (watched.resting == nullptr) return;
  setDue(watched, watched.resting->due);
  resting_.remove(watched.number, *std::exchange(watched.resting, nullptr));
}

void OutlierDetector::follow(SweptCluster& watched, const WatchedCluster& resources, Nanos now,
                             Breather& breathe) {
  const OutlierDetection* before = watched.settings();
  const std::optional<Nanos> oldInterval =
      before != nullptr ? std::optional(before->interval) : std::nullopt;
  watched.cluster = resources.cluster;
  watched.assignment = resources.assignment;
  warnings_.erase(watched.name);
  const OutlierDetection* settings = watched.settings();
  if (settings == nullptr) {
    unejectAll(watched, now, breathe);
    // The kernel may still eject until the new rules are written, so one more sweep follows.
    if (oldInterval) setDue(watched, now + *oldInterval);
    return;
  }
  const Nanos latest = now + settings->interval;
  setDue(watched, oldInterval && watched.due ? std::min(*watched.due, latest) : latest);

  list(watched, resources.assignment.get(), now, breathe);
  observeAll(watched, breathe);
  if (auto warning = limitWarning(*settings, watched.hosts.size()))
    warnings_[watched.name] = *std::move(warning);
}

// Hosts that stay keep what is known of them.
void OutlierDetector::list(SweptCluster& watched, const LoadAssignment* assignment, Nanos now,
                           Breather& breathe) {
  const std::vector<SocketAddress> addresses = addressesOf(assignment, breathe);
  std::vector<SweptHost> listed;
  listed.reserve(addresses.size());
  std::size_t restless = 0;
  auto known = watched.hosts.begin();
  const auto skip = [&](const SocketAddress* upTo) {
    for (; known != watched.hosts.end() && (upTo == nullptr || known->address < *upTo); ++known) {
      watched.ejected.erase(known->address);
      breathe();
    }
  };
  for (const SocketAddress& address : addresses) {
    skip(&address);
    const bool isKnown = known != watched.hosts.end() && known->address == address;
    restless += isKnown && known->isRestless() ? 1 : 0;
    listed.push_back(isKnown ? std::move(*known++) : SweptHost{.address = address, .since = now});
    breathe();
  }
  skip(nullptr);
  watched.hosts = std::move(listed);
  watched.restless = restless;
}

void OutlierDetector::unlistAll(SweptCluster& watched, Breather& breathe) {
  watched.ejected.clear();
  for (SweptHost& host : watched.hosts) {
    host.past.reset();
    breathe();
  }
  watched.hosts = std::vector<SweptHost>();
  watched.restless = 0;
}

// Without outlier_detection no sweep would end an ejection.
void OutlierDetector::unejectAll(SweptCluster& watched, Nanos now, Breather& breathe) {
  if (states_.anyEjected(states_.clusterNumber(watched.name))) {
    const auto assignment = watched.assignment.lock();
    for (const SocketAddress& address : addressesOf(assignment.get(), breathe)) {
      unejectUnwatched(watched, address, now);
      breathe();
    }
  }
  unlistAll(watched, breathe);
}

void OutlierDetector::unejectUnwatched(SweptCluster& watched, const SocketAddress& address,
                                       Nanos now) {
  SweptHost* known = watched.find(address);
  SweptHost fresh{.address = address};
  SweptHost& host = known != nullptr ? *known : fresh;
  if (!host.seen) host.since = now;
  const auto state = observe(watched, host);
  if (state && state->ejected) {
    states_.uneject(watched.name, address);
    observe(watched, host);
  }
}

// ---- what the lines say ----

std::optional<EndpointState> OutlierDetector::observe(
    SweptCluster& watched, SweptHost& host, const std::optional<EjectionEvent::Rates>& rates) {
  const SocketAddress& address = host.address;
  const auto state = states_.read(watched.name, address);
  if (!state || !state->ejected)
    watched.ejected.erase(address);
  else if (!watched.ejected.contains(address))
    watched.ejected[address] = {true};
  if (watched.settings() != nullptr) {
    watched.set(host, &SweptHost::unsettled, !state || state->ejected || state->multiplier != 0);
  }
  if (!state) {
    host.seen = false;
    return state;
  }
  // Counters only grow, unless the id belongs to another endpoint now.
  const SweptHost::Past& past = host.known();
  const bool another = state->successes < past.successes || state->failures < past.failures ||
                       state->ejections < past.history.ejections();
  if (!host.seen || another) {
    host.seen = true;
    host.past.reset();
    host.count(*state);
    if (state->ejections != 0 && state->ejectedAt <= host.since) host.edit().history.adopt(*state);
  }
  for (auto& event : host.update(*state)) {
    event.cluster = watched.name;
    event.address = address;
    if (event.action == EjectionEvent::Action::kEject) event.rates = rates;
    onEvent_(event);
  }
  return state;
}

void OutlierDetector::observeAll(SweptCluster& watched, Breather& breathe) {
  for (SweptHost& host : watched.hosts) {
    observe(watched, host);
    breathe();
  }
}

void OutlierDetector::refresh(const std::string& cluster, const SocketAddress& address, Nanos now) {
  const auto found = watched_.find(cluster);
  if (found == watched_.end()) return;
  SweptCluster& watched = *found->second;
  if (watched.settings() == nullptr) {
    unejectUnwatched(watched, address, now);
    watched.ejected.erase(address);
  } else if (SweptHost* host = watched.find(address)) {
    observe(watched, *host);
    if (watched.restless != 0) stir(watched);
  }
  publish({watched.name});
}

void OutlierDetector::notEnforced(const std::string& cluster, const SocketAddress& address,
                                  Detector detector, Nanos now) {
  const auto found = watched_.find(cluster);
  if (found == watched_.end()) return;
  if (const SweptHost* host = found->second->find(address))
    tellNotEnforced(*found->second, *host, detector, now);
}

void OutlierDetector::tellNotEnforced(const SweptCluster& watched, const SweptHost& host,
                                      Detector detector, Nanos now,
                                      const std::optional<EjectionEvent::Rates>& rates) {
  EjectionEvent event;
  event.detector = detector;
  event.cluster = watched.name;
  event.address = host.address;
  event.at = now;
  // From what was told so far: the state may already show an ejection that came after this event.
  if (const Nanos returned = host.known().history.unejectedAt(); returned.count() > 0)
    event.sinceLastAction = now - returned;
  event.ejections = host.known().history.ejections();
  event.enforced = false;
  event.rates = rates;
  onEvent_(event);
}

// Of these clusters. The others' ejections are as they were.
void OutlierDetector::publish(const std::vector<Name>& clusters) {
  static const HealthByAddress kNone;
  std::shared_ptr<HealthOverlay> next;
  for (const Name& name : clusters) {
    const auto watched = watched_.find(name);
    const auto& now = watched == watched_.end() ? kNone : watched->second->ejected;
    const auto known = overlay_->byCluster.find(name);
    if (now == (known == overlay_->byCluster.end() ? kNone : known->second)) continue;
    if (!next) next = std::make_shared<HealthOverlay>(*overlay_);
    now.empty() ? void(next->byCluster.erase(name)) : void(next->byCluster[name] = now);
  }
  if (next) overlay_ = std::move(next);
}

}  // namespace sockmesh
