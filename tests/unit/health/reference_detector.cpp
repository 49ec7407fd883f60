// SPDX-License-Identifier: Apache-2.0
#include "unit/health/reference_detector.h"

#include <algorithm>
#include <cmath>

namespace sockmesh::reference {

void Detector::setHosts(const std::set<int>& numbers) {
  for (auto host = hosts_.begin(); host != hosts_.end();) {
    if (numbers.contains(host->first)) {
      ++host;
      continue;
    }
    if (host->second.ejected) --active_;
    host = hosts_.erase(host);
  }
  for (const int number : numbers) hosts_.try_emplace(number);
}

// ---- results ----

void Detector::connectEnds(int number, bool success, Nanos now) {
  Host& host = hosts_.at(number);
  // The kernel's own rule; see above.
  if (host.ejected && host.ejectionTime + std::min(config_.baseEjectionTime * host.multiplier,
                                                   config_.maxEjectionTime) <=
                          now)
    uneject(number, now);

  if (!config_.splitExternalLocalOriginErrors) {
    httpCode(number, success ? 200 : 503, now);
  } else if (success) {
    host.local.now().total++;
    host.local.now().success++;
    host.consecutiveLocal = 0;
  } else {
    localFailure(number, now);
  }
}

void Detector::httpCode(int number, int code, Nanos now) {
  Host& host = hosts_.at(number);
  host.external.now().total++;
  if (code < 500) {
    host.external.now().success++;
    host.consecutive5xx = host.consecutiveGateway = 0;
    return;
  }
  const bool gateway = code == 502 || code == 503 || code == 504;
  if (!gateway)
    host.consecutiveGateway = 0;
  else if (++host.consecutiveGateway == config_.consecutiveGatewayFailure)
    consecutive(number, CONSECUTIVE_GATEWAY_FAILURE, now);
  if (++host.consecutive5xx == config_.consecutive5xx) consecutive(number, CONSECUTIVE_5XX, now);
}

void Detector::localFailure(int number, Nanos now) {
  Host& host = hosts_.at(number);
  host.local.now().total++;
  if (++host.consecutiveLocal == config_.consecutiveLocalOriginFailure)
    consecutive(number, CONSECUTIVE_LOCAL_ORIGIN_FAILURE, now);
}

void Detector::consecutive(int number, Type type, Nanos now) {
  Host& host = hosts_.at(number);
  if (host.ejected) return;  // and the counter stays
  detect(number, type, now);
  if (type == CONSECUTIVE_5XX) host.consecutive5xx = 0;
  if (type == CONSECUTIVE_GATEWAY_FAILURE) host.consecutiveGateway = 0;
  if (type == CONSECUTIVE_LOCAL_ORIGIN_FAILURE) host.consecutiveLocal = 0;
}

// ---- ejection and return ----

unsigned Detector::enforcing(Type type) const {
  switch (type) {
    case CONSECUTIVE_5XX:
      return config_.enforcingConsecutive5xx;
    case CONSECUTIVE_GATEWAY_FAILURE:
      return config_.enforcingConsecutiveGatewayFailure;
    case SUCCESS_RATE:
      return config_.enforcingSuccessRate;
    case CONSECUTIVE_LOCAL_ORIGIN_FAILURE:
      return config_.enforcingConsecutiveLocalOriginFailure;
    case SUCCESS_RATE_LOCAL_ORIGIN:
      return config_.enforcingLocalOriginSuccessRate;
    case FAILURE_PERCENTAGE:
      return config_.enforcingFailurePercentage;
    case FAILURE_PERCENTAGE_LOCAL_ORIGIN:
      return config_.enforcingFailurePercentageLocalOrigin;
  }
  return 0;
}

void Detector::detect(int number, Type type, Nanos now) {
  Host& host = hosts_.at(number);
  std::optional<Nanos> since;
  if (host.unejectionTime) since = now - *host.unejectionTime;
  ++detected[type];
  const double percent = 100.0 * (active_ + 1) / static_cast<double>(hosts_.size());
  bool allowed = percent <= std::min(100.0, static_cast<double>(config_.maxEjectionPercent));
  if (config_.alwaysEjectOneHost) allowed |= active_ == 0;
  if (!allowed) {
    ++overflow;
    return;
  }
  if (enforcing(type) == 0) {
    log.push_back({true, type, number, false, host.ejections, now, since});
    return;
  }
  ++active_;
  ++enforced[type];
  host.ejected = true;
  ++host.ejections;
  host.ejectionTime = now;
  if (host.multiplier * config_.baseEjectionTime <
      config_.maxEjectionTime + config_.baseEjectionTime)
    ++host.multiplier;
  log.push_back({true, type, number, true, host.ejections, now, since});
}

void Detector::uneject(int number, Nanos now) {
  Host& host = hosts_.at(number);
  --active_;
  host.ejected = false;
  host.consecutive5xx = host.consecutiveGateway = host.consecutiveLocal = 0;
  host.unejectionTime = now;
  log.push_back({false, 0, number, true, host.ejections, now, now - host.ejectionTime});
}

// ---- the sweep ----

void Detector::onInterval(Nanos now) {
  for (auto& [number, host] : hosts_) {
    if (host.ejected && std::min(config_.baseEjectionTime * host.multiplier,
                                 config_.maxEjectionTime) <= now - host.ejectionTime)
      uneject(number, now);
    host.external.rotate();
    host.local.rotate();
  }
  evaluate(&Host::external, false, now);
  evaluate(&Host::local, true, now);
  for (auto& [number, host] : hosts_) {
    if (host.ejected || !host.unejectionTime || host.multiplier == 0) continue;
    if (now - *host.unejectionTime >= config_.interval) --host.multiplier;
  }
  due_ = now + config_.interval;
}

void Detector::evaluate(Monitor Host::*monitor, bool local, Nanos now) {
  if (hosts_.size() < config_.successRateMinimumHosts &&
      hosts_.size() < config_.failurePercentageMinimumHosts)
    return;
  std::map<int, double> bySuccessRate;
  std::map<int, double> byFailurePercentage;
  for (const auto& [number, host] : hosts_) {
    const Bucket& last = (host.*monitor).last();
    if (host.ejected || last.total == 0) continue;
    const double rate = 100.0 * last.success / last.total;
    if (last.total >= config_.successRateRequestVolume) bySuccessRate[number] = rate;
    if (last.total >= config_.failurePercentageRequestVolume) byFailurePercentage[number] = rate;
  }
  // Hosts that this sweep has ejected are skipped. Envoy's source does not say so, and means it.
  if (!bySuccessRate.empty() && bySuccessRate.size() >= config_.successRateMinimumHosts) {
    const auto n = static_cast<double>(bySuccessRate.size());
    double mean = 0;
    for (const auto& [number, rate] : bySuccessRate) mean += rate;
    mean /= n;
    double variance = 0;
    for (const auto& [number, rate] : bySuccessRate) variance += std::pow(rate - mean, 2);
    variance /= n;
    const double threshold = mean - config_.successRateStdevFactor / 1000.0 * std::sqrt(variance);
    for (const auto& [number, rate] : bySuccessRate)
      if (rate < threshold) detect(number, local ? SUCCESS_RATE_LOCAL_ORIGIN : SUCCESS_RATE, now);
  }
  if (byFailurePercentage.size() >= config_.failurePercentageMinimumHosts) {
    for (const auto& [number, rate] : byFailurePercentage)
      if (!hosts_.at(number).ejected && 100.0 - rate >= config_.failurePercentageThreshold)
        detect(number, local ? FAILURE_PERCENTAGE_LOCAL_ORIGIN : FAILURE_PERCENTAGE, now);
  }
}

}  // namespace sockmesh::reference
