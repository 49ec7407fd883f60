// SPDX-License-Identifier: Apache-2.0
#include "health/outlier_detector.h"

#include <algorithm>
#include <memory>
#include <set>
#include <utility>

#include "health/ejection_history.h"

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

bool hasOutcomes(const EndpointState& state) {
  return state.successes != 0 || state.failures != 0 ||
         std::ranges::any_of(state.outcomes, [](const EndpointState::Outcomes& of) {
           return of.successes != 0 || of.failures != 0;
         });
}

}  // namespace

// Most hosts of a node are never connected to, so what was counted takes memory only once something
// happened.
struct OutlierDetector::Host {
  struct Past {
    EjectionHistory history;
    // As counted up to the last sweep.
    decltype(EndpointState::outcomes) outcomes{};
    std::uint64_t successes = 0;
    std::uint64_t failures = 0;
  };

  SocketAddress address;
  bool seen = false;
  Nanos since{0};                // watched since; ejections before that are an earlier agent's
  std::unique_ptr<Past> past{};  // null: nothing has happened

  const Past& known() const {
    static const Past kNothing;
    return past ? *past : kNothing;
  }
  Past& edit() {
    if (!past) past = std::make_unique<Past>();
    return *past;
  }
  void count(const EndpointState& state) {
    if (!past && !hasOutcomes(state)) return;
    edit().outcomes = state.outcomes;
    past->successes = state.successes;
    past->failures = state.failures;
  }
  std::vector<EjectionEvent> update(const EndpointState& state) {
    if (!past && state.ejections == 0) return {};
    return edit().history.update(state);
  }
};

struct OutlierDetector::Watched {
  Name name;
  std::shared_ptr<const Cluster> cluster;
  // Not kept alive: whoever gave it has it, or has given another one by now.
  std::weak_ptr<const LoadAssignment> assignment;
  std::vector<Host> hosts;  // by address; none without outlier_detection
  HealthByAddress ejected;  // of the hosts
  std::optional<Nanos> due;

  // Null: it is not watched.
  Host* find(const SocketAddress& address) {
    const auto host = std::ranges::lower_bound(hosts, address, {}, &Host::address);
    return host == hosts.end() || host->address != address ? nullptr : &*host;
  }

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
  Breather never;
  watch(changed, now, never);
}

void OutlierDetector::watch(const std::map<std::string, WatchedCluster>& changed, Nanos now,
                            Breather& breathe) {
  std::set<std::string> names;
  for (const auto& [name, resources] : changed) {
    names.insert(names.end(), name);
    breathe();
    if (!resources.cluster) {
      forget(name, breathe);
      continue;
    }
    auto& watched = watched_[name];
    if (watched && watched->follows(resources)) continue;
    if (!watched) {
      watched = std::make_unique<Watched>();
      watched->name = name;
    }
    follow(*watched, resources, now, breathe);
  }
  publish(names);
}

void OutlierDetector::forget(const std::string& cluster, Breather& breathe) {
  const auto known = watched_.find(cluster);
  if (known == watched_.end()) return;
  unlistAll(*known->second, breathe);
  setDue(*known->second, std::nullopt);
  warnings_.erase(cluster);
  watched_.erase(known);
}

void OutlierDetector::setDue(Watched& watched, std::optional<Nanos> due) {
  if (watched.due) due_.erase({*watched.due, watched.name});
  watched.due = due;
  if (due) due_.emplace(*due, watched.name);
}

void OutlierDetector::follow(Watched& watched, const WatchedCluster& resources, Nanos now,
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
void OutlierDetector::list(Watched& watched, const LoadAssignment* assignment, Nanos now,
                           Breather& breathe) {
  const std::vector<SocketAddress> addresses = addressesOf(assignment, breathe);
  std::vector<Host> listed;
  listed.reserve(addresses.size());
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
    listed.push_back(isKnown ? std::move(*known++) : Host{.address = address, .since = now});
    breathe();
  }
  skip(nullptr);
  watched.hosts = std::move(listed);
}

void OutlierDetector::unlistAll(Watched& watched, Breather& breathe) {
  watched.ejected.clear();
  for (Host& host : watched.hosts) {
    host.past.reset();
    breathe();
  }
  watched.hosts = std::vector<Host>();
}

// Without outlier_detection no sweep would end an ejection.
void OutlierDetector::unejectAll(Watched& watched, Nanos now, Breather& breathe) {
  if (states_.anyEjected(watched.name)) {
    const auto assignment = watched.assignment.lock();
    for (const SocketAddress& address : addressesOf(assignment.get(), breathe)) {
      unejectUnwatched(watched, address, now);
      breathe();
    }
  }
  unlistAll(watched, breathe);
}

void OutlierDetector::unejectUnwatched(Watched& watched, const SocketAddress& address, Nanos now) {
  Host* known = watched.find(address);
  Host fresh{.address = address};
  Host& host = known != nullptr ? *known : fresh;
  if (!host.seen) host.since = now;
  const auto state = observe(watched, host);
  if (state && state->ejected) {
    states_.uneject(watched.name, address);
    observe(watched, host);
  }
}

// ---- what the lines say ----

std::optional<EndpointState> OutlierDetector::observe(
    Watched& watched, Host& host, const std::optional<EjectionEvent::Rates>& rates) {
  const SocketAddress& address = host.address;
  const auto state = states_.read(watched.name, address);
  if (!state || !state->ejected)
    watched.ejected.erase(address);
  else if (!watched.ejected.contains(address))
    watched.ejected[address] = {true};
  if (!state) {
    host.seen = false;
    return state;
  }
  // Counters only grow, unless the id belongs to another endpoint now.
  const Host::Past& past = host.known();
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

void OutlierDetector::observeAll(Watched& watched, Breather& breathe) {
  for (Host& host : watched.hosts) {
    observe(watched, host);
    breathe();
  }
}

void OutlierDetector::refresh(const std::string& cluster, const SocketAddress& address, Nanos now) {
  const auto found = watched_.find(cluster);
  if (found == watched_.end()) return;
  Watched& watched = *found->second;
  if (watched.settings() == nullptr) {
    unejectUnwatched(watched, address, now);
    watched.ejected.erase(address);
  } else if (Host* host = watched.find(address)) {
    observe(watched, *host);
  }
  publish({cluster});
}

void OutlierDetector::notEnforced(const std::string& cluster, const SocketAddress& address,
                                  Detector detector, Nanos now) {
  const auto found = watched_.find(cluster);
  if (found == watched_.end()) return;
  if (const Host* host = found->second->find(address))
    tellNotEnforced(*found->second, *host, detector, now);
}

void OutlierDetector::tellNotEnforced(const Watched& watched, const Host& host, Detector detector,
                                      Nanos now, const std::optional<EjectionEvent::Rates>& rates) {
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
void OutlierDetector::publish(const std::set<std::string>& clusters) {
  static const HealthByAddress kNone;
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
  Breather never;
  sweep(now, never);
}

void OutlierDetector::sweep(Nanos now, Breather& breathe) {
  std::set<std::string> names;
  for (auto due = due_.begin(); due != due_.end() && due->first <= now; ++due) {
    names.insert(due->second);
  }
  for (const std::string& name : names) {
    Watched& watched = *watched_.at(name);
    breathe();
    if (watched.settings() != nullptr) {
      sweepCluster(watched, now, breathe);
    } else {
      unejectAll(watched, now, breathe);
      setDue(watched, std::nullopt);
    }
  }
  publish(names);
}

std::optional<Nanos> OutlierDetector::nextSweep() const {
  if (due_.empty()) return std::nullopt;
  return due_.begin()->first;
}

std::size_t OutlierDetector::hostsOf(const std::set<std::string>& clusters,
                                     std::size_t limit) const {
  std::size_t hosts = 0;
  for (auto name = clusters.begin(); name != clusters.end() && hosts <= limit; ++name) {
    const auto watched = watched_.find(*name);
    hosts += 1 + (watched == watched_.end() ? 0 : watched->second->hosts.size());
  }
  return hosts;
}

std::size_t OutlierDetector::hostsDue(Nanos now, std::size_t limit) const {
  std::size_t hosts = 0;
  for (auto due = due_.begin(); due != due_.end() && due->first <= now && hosts <= limit; ++due) {
    hosts += 1 + watched_.at(due->second)->hosts.size();
  }
  return hosts;
}

void OutlierDetector::sweepCluster(Watched& watched, Nanos now, Breather& breathe) {
  const OutlierDetection& settings = *watched.settings();
  states_.recount(watched.name, breathe);
  const Nanos end = unejectDue(watched, now, breathe);
  evaluate(watched, now, breathe);
  decay(watched, settings.interval, now, breathe);
  // Counted from the sweep's end, as Envoy arms its timer: an endpoint that this sweep unejected
  // has been back for a whole interval in the next one.
  setDue(watched, end + settings.interval);
}

Nanos OutlierDetector::unejectDue(Watched& watched, Nanos now, Breather& breathe) {
  Nanos end = now;
  for (Host& host : watched.hosts) {
    breathe();
    auto state = observe(watched, host);
    if (!state || !state->ejected || state->ejectedUntil > now) continue;
    states_.uneject(watched.name, host.address);
    state = observe(watched, host);
    if (state) end = std::max(end, state->unejectedAt);
  }
  return end;
}

// Each client's outcomes are judged by themselves, as its own Envoy would: volume is no weight.
// Only hosts with outcomes are judged.
void OutlierDetector::evaluate(Watched& watched, Nanos now, Breather& breathe) {
  std::array<std::vector<HostOutcomes>, EndpointState::kClients> outcomes;
  std::array<std::vector<Host*>, EndpointState::kClients> judged;
  for (Host& host : watched.hosts) {
    breathe();
    const auto state = states_.read(watched.name, host.address);
    if (!state || !host.seen) continue;
    for (std::size_t client = 0; client < outcomes.size() && !state->ejected; ++client) {
      const auto& [successes, failures] = state->outcomes[client];
      const auto& before = host.known().outcomes[client];
      const HostOutcomes interval{successes - before.successes, failures - before.failures};
      if (interval.successes + interval.failures == 0) continue;
      outcomes[client].push_back(interval);
      judged[client].push_back(&host);
    }
    // Also for ejected endpoints: what they did meanwhile does not count later.
    host.count(*state);
  }
  for (std::size_t client = 0; client < outcomes.size(); ++client) {
    for (const auto& outlier :
         statisticalOutliers(outcomes[client], watched.hosts.size(), *watched.settings())) {
      breathe();
      detected(watched, *judged[client][outlier.host], client, outlier, now);
    }
  }
}

void OutlierDetector::detected(Watched& watched, Host& host, std::size_t client,
                               const StatisticalOutlier& outlier, Nanos now) {
  if (watched.ejected.contains(host.address)) return;  // just now, by success rate
  const Detection detection = states_.detect(watched.name, host.address, client, outlier.detector,
                                             outlier.enforcingPercent);
  if (detection == Detection::kEjected)
    observe(watched, host, outlier.rates);
  else if (detection == Detection::kNotEnforced)
    tellNotEnforced(watched, host, outlier.detector, now, outlier.rates);
}

void OutlierDetector::decay(Watched& watched, Nanos interval, Nanos now, Breather& breathe) {
  for (const Host& host : watched.hosts) {
    breathe();
    const auto state = states_.read(watched.name, host.address);
    if (!state || state->ejected || state->multiplier == 0 || state->unejectedAt.count() == 0)
      continue;
    if (now - state->unejectedAt >= interval)
      states_.setMultiplier(watched.name, host.address, state->multiplier - 1);
  }
}

}  // namespace sockmesh
