// SPDX-License-Identifier: Apache-2.0
// The detector's sweeps.
#include <algorithm>
#include <array>
#include <utility>

#include "health/outlier_detector.h"

namespace sockmesh {

void OutlierDetector::sweep(Nanos now) {
  Breather never;
  sweep(now, never);
}

void OutlierDetector::sweep(Nanos now, Breather& breathe) {
  stirDue(now, breathe);
  std::vector<Name> names;
  while (!due_.empty() && due_.begin()->first <= now) {
    SweptCluster& watched = *watched_.at(due_.begin()->second);
    const bool hadEjected = !watched.ejected.empty();
    breathe();
    if (watched.settings() != nullptr) {
      sweepCluster(watched, now, breathe);
      rest(watched, breathe);
    } else {
      unejectAll(watched, now, breathe);
      setDue(watched, std::nullopt);
    }
    if (hadEjected || !watched.ejected.empty()) names.push_back(watched.name);
  }
  publish(names);
}

// The clusters that rest and are due: those that had traffic are swept now, and the others have
// been swept with that. The count of ejected endpoints is wrong by a fault alone, whatever cluster
// it is of, so it is looked at in turn.
void OutlierDetector::stirDue(Nanos now, Breather& breathe) {
  std::vector<std::uint32_t> stirred;
  const auto note = [&](std::uint32_t number) { stirred.push_back(number); };
  resting_.eachStirred(
      now, [this](std::uint32_t word) { return states_.marked(word); }, note);
  resting_.eachInTurn(now, [&](std::uint32_t number) {
    if (states_.anyEjected(number)) note(number);
  });
  for (const std::uint32_t number : stirred) {
    breathe();
    const auto known = watched_.find(states_.clusterOf(number));
    if (known == watched_.end() || known->second->number != number) continue;
    stir(*known->second);
  }
  resting_.moveOn(now);
}

std::optional<Nanos> OutlierDetector::nextSweep() const {
  const std::optional<Nanos> resting = resting_.nextDue();
  if (due_.empty()) return resting;
  return resting ? std::min(*resting, due_.begin()->first) : due_.begin()->first;
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
  const auto marked = [&](std::uint32_t word) { return hosts <= limit ? states_.marked(word) : 0; };
  resting_.eachStirred(now, marked, [&](std::uint32_t number) {
    if (hosts > limit) return;
    const auto known = watched_.find(states_.clusterOf(number));
    hosts += 1 + (known == watched_.end() ? 0 : known->second->hosts.size());
  });
  return hosts;
}

void OutlierDetector::sweepCluster(SweptCluster& watched, Nanos now, Breather& breathe) {
  const Nanos interval = watched.settings()->interval;
  if (!watched.ejected.empty() || states_.anyEjected(states_.clusterNumber(watched.name))) {
    states_.recount(watched.name, breathe);
  }
  const SweptHosts hosts = hostsToSweep(watched, breathe);
  const Nanos end = unejectDue(watched, hosts, now, breathe);
  evaluate(watched, hosts, now, breathe);
  decay(watched, hosts, now, breathe);
  // Counted from the sweep's end, as Envoy arms its timer: an endpoint that this sweep unejected
  // has been back for a whole interval in the next one.
  setDue(watched, std::max(end + interval, now + Nanos(1)));
}

// The hosts for which a sweep may do something. The mark of a host that was marked at the last
// sweep may have been seen by a program that counted its outcome only afterwards.
OutlierDetector::SweptHosts OutlierDetector::hostsToSweep(SweptCluster& watched,
                                                          Breather& breathe) {
  const std::vector<SocketAddress> marked = states_.takeMarked(watched.name, breathe);
  SweptHosts hosts;
  auto mark = marked.begin();
  for (SweptHost& host : watched.hosts) {
    breathe();
    while (mark != marked.end() && *mark < host.address) ++mark;
    const bool isMarked = mark != marked.end() && *mark == host.address;
    if (isMarked || host.isRestless()) hosts.push_back(&host);
    watched.set(host, &SweptHost::wasMarked, isMarked);
  }
  return hosts;
}

Nanos OutlierDetector::unejectDue(SweptCluster& watched, const SweptHosts& hosts, Nanos now,
                                  Breather& breathe) {
  Nanos end = now;
  for (SweptHost* host : hosts) {
    breathe();
    auto state = observe(watched, *host);
    if (!state || !state->ejected || state->ejectedUntil > now) continue;
    states_.uneject(watched.name, host->address);
    state = observe(watched, *host);
    if (state) end = std::max(end, state->unejectedAt);
  }
  return end;
}

// Each client's outcomes are judged by themselves, as its own Envoy would: volume is no weight.
// Only hosts with outcomes are judged.
void OutlierDetector::evaluate(SweptCluster& watched, const SweptHosts& hosts, Nanos now,
                               Breather& breathe) {
  std::array<std::vector<HostOutcomes>, EndpointState::kClients> outcomes;
  std::array<SweptHosts, EndpointState::kClients> judged;
  for (SweptHost* host : hosts) {
    breathe();
    const auto state = states_.read(watched.name, host->address);
    if (!state || !host->seen) continue;
    for (std::size_t client = 0; client < outcomes.size() && !state->ejected; ++client) {
      const auto& [successes, failures] = state->outcomes[client];
      const auto& before = host->known().outcomes[client];
      const HostOutcomes interval{successes - before.successes, failures - before.failures};
      if (interval.successes + interval.failures == 0) continue;
      outcomes[client].push_back(interval);
      judged[client].push_back(host);
    }
    // Also for ejected endpoints: what they did meanwhile does not count later.
    host->count(*state);
  }
  for (std::size_t client = 0; client < outcomes.size(); ++client) {
    for (const auto& outlier :
         statisticalOutliers(outcomes[client], watched.hosts.size(), *watched.settings())) {
      breathe();
      detected(watched, *judged[client][outlier.host], client, outlier, now);
    }
  }
}

void OutlierDetector::detected(SweptCluster& watched, SweptHost& host, std::size_t client,
                               const StatisticalOutlier& outlier, Nanos now) {
  if (watched.ejected.contains(host.address)) return;  // just now, by success rate
  const Detection detection = states_.detect(watched.name, host.address, client, outlier.detector,
                                             outlier.enforcingPercent);
  if (detection == Detection::kEjected)
    observe(watched, host, outlier.rates);
  else if (detection == Detection::kNotEnforced)
    tellNotEnforced(watched, host, outlier.detector, now, outlier.rates);
}

void OutlierDetector::decay(SweptCluster& watched, const SweptHosts& hosts, Nanos now,
                            Breather& breathe) {
  for (const SweptHost* host : hosts) {
    breathe();
    if (!host->unsettled) continue;
    const auto state = states_.read(watched.name, host->address);
    if (!state || state->ejected || state->multiplier == 0 || state->unejectedAt.count() == 0)
      continue;
    if (now - state->unejectedAt >= watched.settings()->interval)
      states_.setMultiplier(watched.name, host->address, state->multiplier - 1);
  }
}

}  // namespace sockmesh
