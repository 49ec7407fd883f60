// SPDX-License-Identifier: Apache-2.0
#include "unit/health/fake_state_access.h"

#include <algorithm>

#include "bpf/conn/outlier_rules.h"

namespace sockmesh {
namespace {

std::uint64_t count(Nanos time) {
  return static_cast<std::uint64_t>(time.count());
}

Nanos nanos(std::uint64_t time) {
  return Nanos(static_cast<std::int64_t>(time));
}

sm_consecutive_rule ruleOf(std::uint32_t threshold, std::uint32_t enforcing, Detector detector) {
  return {threshold, static_cast<std::uint16_t>(enforcing), static_cast<std::uint16_t>(detector)};
}

Detection toDetection(sm_detection detection) {
  switch (detection) {
    case SM_DETECTION_EJECTED:
      return Detection::kEjected;
    case SM_DETECTION_OVERFLOW:
      return Detection::kOverflow;
    case SM_DETECTION_NOT_ENFORCED:
      return Detection::kNotEnforced;
    case SM_DETECTION_OWN:
      return Detection::kOwn;
    case SM_DETECTION_NONE:
      break;
  }
  return Detection::kNone;
}

}  // namespace

std::uint32_t ejectionLimit(const OutlierDetection& settings, std::size_t n) {
  const auto limit =
      static_cast<std::uint32_t>(std::min(settings.maxEjectionPercent, 100U) * n / 100);
  return settings.alwaysEjectOneHost ? std::max(limit, 1U) : limit;
}

void FakeStateAccess::configure(const Cluster& cluster, const LoadAssignment& assignment) {
  auto& lines = clusters_[cluster.name];
  if (lines.number == 0) lines.number = static_cast<std::uint32_t>(clusters_.size());
  std::map<SocketAddress, Line> endpoints;
  for (const auto& locality : assignment.localities)
    for (const auto& endpoint : locality.endpoints)
      endpoints[endpoint.address] = lines.endpoints[endpoint.address];
  for (const auto& [address, line] : lines.endpoints)
    if (!endpoints.contains(address) && line.state.ejected_until_ns != 0) --lines.state.ejected;
  lines.endpoints = std::move(endpoints);

  auto& state = lines.state;
  state.base_ejection_ns = 0;
  state.consecutive[0] = state.consecutive[1] = {};
  if (!cluster.outlierDetection) return;
  const auto& settings = *cluster.outlierDetection;
  state.ejection_limit = ejectionLimit(settings, lines.endpoints.size());
  state.base_ejection_ns = count(settings.baseEjectionTime);
  state.max_ejection_ns = count(settings.maxEjectionTime);
  state.interval_ns = count(settings.interval);
  state.jitter_ms = static_cast<std::uint32_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(settings.maxEjectionTimeJitter)
          .count());
  if (settings.splitExternalLocalOriginErrors) {
    state.consecutive[0] = ruleOf(settings.consecutiveLocalOriginFailure,
                                  settings.enforcingConsecutiveLocalOriginFailure,
                                  Detector::kConsecutiveLocalOriginFailure);
    return;
  }
  state.consecutive[0] =
      ruleOf(settings.consecutiveGatewayFailure, settings.enforcingConsecutiveGatewayFailure,
             Detector::kConsecutiveGatewayFailure);
  state.consecutive[1] =
      ruleOf(settings.consecutive5xx, settings.enforcingConsecutive5xx, Detector::kConsecutive5xx);
}

// As in bpf/conn/client.h: one after the other.
std::uint32_t FakeStateAccess::numberOf(std::uint64_t client) {
  const auto next = static_cast<std::uint32_t>(numbers_.size()) & 63;
  return numbers_.try_emplace(client, next).first->second;
}

std::uint64_t FakeStateAccess::bitOf(std::uint64_t client) {
  return 1ULL << numberOf(client);
}

void FakeStateAccess::outcome(const std::string& cluster, const SocketAddress& address,
                              std::uint64_t client, bool success, const OnHint& onHint) {
  auto& lines = clusters_.at(cluster);
  Line& line = lines.endpoints.at(address);
  if (sm_outlier_uneject_due(&line.state, now()) &&
      sm_outlier_uneject(&line.state, &lines.state, now()))
    onHint(std::nullopt, Detection::kNone);
  const std::uint64_t bit = bitOf(client);
  const auto place = static_cast<std::uint32_t>(client);
  sm_outlier_used(&line.state, place, bit, now());
  line.state.unswept = 1;
  lines.marked = true;
  sm_outcomes& outcomes = *sm_outcomes_of(&line.state, numberOf(client));
  if (success) {
    ++outcomes.served;
    const auto run = line.runs.find(client);
    if (line.state.runs != 0 && run != line.runs.end())
      sm_outlier_success(&line.state, &run->second, bit, now());
    return;
  }
  ++outcomes.failed;
  const std::uint32_t failures = sm_outlier_failure(&line.state, &line.runs[client], now());
  for (const auto& rule : lines.state.consecutive) {
    if (!sm_outlier_fires(&rule, failures)) continue;
    const bool agreed = sm_outlier_agreed(&line.state, place, bit, now()) != 0;
    const Detection detection = agreed ? detect(lines, line, rule.detector, rule.enforcing_percent)
                                       : detectOwn(lines, line, client, rule);
    onHint(static_cast<Detector>(rule.detector), detection);
  }
}

Detection FakeStateAccess::detectOwn(ClusterLines& cluster, Line& line, std::uint64_t client,
                                     const sm_consecutive_rule& rule) {
  std::uint32_t own = 0;
  for (auto& [address, other] : cluster.endpoints) {
    const auto run = other.runs.find(client);
    if (run != other.runs.end() && run->second.ejected_until_ns > now() &&
        other.state.ejected_until_ns == 0)
      ++own;
  }
  const auto dice = static_cast<std::uint32_t>(random_());
  const auto chance = static_cast<std::uint32_t>(random_());
  return toDetection(sm_outlier_detect_own(&line.state, &cluster.state, &cluster.stats,
                                           &line.runs[client], own, bitOf(client), rule.detector,
                                           rule.enforcing_percent, now(), dice, chance));
}

bool FakeStateAccess::ejectedOwn(const std::string& cluster, const SocketAddress& address,
                                 std::uint64_t client) {
  const Line& of = line(cluster, address);
  const auto run = of.runs.find(client);
  return run != of.runs.end() && run->second.ejected_until_ns > now();
}

Detection FakeStateAccess::detect(ClusterLines& cluster, Line& line, std::uint32_t detector,
                                  std::uint32_t enforcingPercent) {
  const auto dice = static_cast<std::uint32_t>(random_());
  const auto chance = static_cast<std::uint32_t>(random_());
  return toDetection(sm_outlier_detect(&line.state, &cluster.state, &cluster.stats, detector,
                                       enforcingPercent, now(), dice, chance));
}

Line& FakeStateAccess::line(const std::string& cluster, const SocketAddress& address) {
  return clusters_.at(cluster).endpoints.at(address);
}

bool FakeStateAccess::ejected(const std::string& cluster, const SocketAddress& address) {
  return line(cluster, address).state.ejected_until_ns != 0;
}

std::optional<EndpointState> FakeStateAccess::read(const std::string& cluster,
                                                   const SocketAddress& address) const {
  ++reads_;
  const auto lines = clusters_.find(cluster);
  if (lines == clusters_.end()) return std::nullopt;
  const auto found = lines->second.endpoints.find(address);
  if (found == lines->second.endpoints.end()) return std::nullopt;
  const sm_endpoint_state& state = found->second.state;
  EndpointState line;
  line.ejected = state.ejected_until_ns != 0;
  line.ejectedUntil = nanos(state.ejected_until_ns);
  line.ejectedAt = nanos(state.ejected_at_ns);
  line.unejectedAt = nanos(state.unejected_at_ns);
  line.ejections = state.ejections;
  line.multiplier = state.multiplier;
  line.detector = static_cast<Detector>(state.detector);
  for (std::size_t client = 0; client < line.outcomes.size(); ++client) {
    line.outcomes[client] = {state.outcomes[client].served, state.outcomes[client].failed};
    line.successes += state.outcomes[client].served;
    line.failures += state.outcomes[client].failed;
  }
  return line;
}

Detection FakeStateAccess::detect(const std::string& cluster, const SocketAddress& address,
                                  std::size_t client, Detector detector,
                                  std::uint32_t enforcingPercent) {
  ClusterLines& lines = clusters_.at(cluster);
  Line& of = line(cluster, address);
  for (const auto& [id, number] : numbers_) {
    if (number % SM_OUTCOME_CLIENTS != client || (sm_users(&of.state) >> number & 1) == 0) continue;
    const sm_consecutive_rule rule = {0, static_cast<std::uint16_t>(enforcingPercent),
                                      static_cast<std::uint16_t>(detector)};
    return sm_outlier_agreed(&of.state, static_cast<std::uint32_t>(id), bitOf(id), now()) != 0
               ? detect(lines, of, rule.detector, enforcingPercent)
               : detectOwn(lines, of, id, rule);
  }
  return Detection::kNone;
}

bool FakeStateAccess::uneject(const std::string& cluster, const SocketAddress& address) {
  auto& lines = clusters_.at(cluster);
  return sm_outlier_uneject(&lines.endpoints.at(address).state, &lines.state, now()) != 0;
}

std::uint32_t FakeStateAccess::clusterNumber(const std::string& cluster) const {
  const auto lines = clusters_.find(cluster);
  return lines == clusters_.end() ? 0 : lines->second.number;
}

std::string FakeStateAccess::clusterOf(std::uint32_t number) const {
  for (const auto& [name, lines] : clusters_) {
    if (lines.number == number) return name;
  }
  return "";
}

bool FakeStateAccess::anyEjected(std::uint32_t number) const {
  const auto lines = clusters_.find(clusterOf(number));
  return lines != clusters_.end() && lines->second.state.ejected != 0;
}

std::uint64_t FakeStateAccess::marked(std::uint32_t word) const {
  std::uint64_t bits = 0;
  for (const auto& [name, lines] : clusters_) {
    if (lines.marked && lines.number / 64 == word) bits |= std::uint64_t{1} << lines.number % 64;
  }
  return bits;
}

bool FakeStateAccess::anyMarked(const std::string& cluster, Breather& breathe) const {
  const ClusterLines& lines = clusters_.at(cluster);
  bool any = lines.marked;
  for (const auto& [address, line] : lines.endpoints) {
    any = any || line.state.unswept != 0;
    breathe();
  }
  return any;
}

std::vector<SocketAddress> FakeStateAccess::takeMarked(const std::string& cluster,
                                                       Breather& breathe) {
  ClusterLines& lines = clusters_.at(cluster);
  lines.marked = false;
  std::vector<SocketAddress> taken;
  for (auto& [address, line] : lines.endpoints) {
    if (std::exchange(line.state.unswept, 0) != 0) taken.push_back(address);
    breathe();
  }
  return taken;
}

void FakeStateAccess::recount(const std::string& cluster, Breather& /*breathe*/) {
  auto& lines = clusters_.at(cluster);
  lines.state.ejected = 0;
  for (const auto& [address, line] : lines.endpoints) {
    lines.state.ejected += line.state.ejected_until_ns != 0 ? 1 : 0;
  }
}

void FakeStateAccess::setMultiplier(const std::string& cluster, const SocketAddress& address,
                                    std::uint32_t multiplier) {
  line(cluster, address).state.multiplier = multiplier;
}

}  // namespace sockmesh
