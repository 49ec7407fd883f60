// SPDX-License-Identifier: Apache-2.0
#include "health/success_rate.h"

#include <cmath>

#include "model/cluster.h"

namespace sockmesh {
namespace {

struct Rated {
  std::size_t host;
  double rate;  // percent
};

// The hosts with enough attempts to be judged.
std::vector<Rated> rate(const std::vector<HostOutcomes>& outcomes, std::uint32_t requestVolume) {
  std::vector<Rated> rated;
  for (std::size_t host = 0; host < outcomes.size(); ++host) {
    const std::uint64_t total = std::uint64_t{outcomes[host].successes} + outcomes[host].failures;
    if (total == 0 || total < requestVolume) continue;
    rated.push_back(
        {host, 100.0 * static_cast<double>(outcomes[host].successes) / static_cast<double>(total)});
  }
  return rated;
}

void addBySuccessRate(const std::vector<Rated>& rated, const OutlierDetection& settings,
                      std::vector<StatisticalOutlier>& outliers) {
  const bool local = settings.splitExternalLocalOriginErrors;
  const auto count = static_cast<double>(rated.size());
  double sum = 0;
  for (const auto& host : rated) sum += host.rate;
  const double average = sum / count;
  double squares = 0;
  for (const auto& host : rated) squares += (host.rate - average) * (host.rate - average);
  // The deviation of the population and not of a sample: divided by n.
  const double deviation = std::sqrt(squares / count);
  const double threshold = average - settings.successRateStdevFactor / 1000.0 * deviation;
  for (const auto& host : rated) {
    if (host.rate >= threshold) continue;
    outliers.push_back(
        {host.host,
         local ? Detector::kSuccessRateLocalOrigin : Detector::kSuccessRate,
         local ? settings.enforcingLocalOriginSuccessRate : settings.enforcingSuccessRate,
         {host.rate, average, threshold}});
  }
}

void addByFailurePercentage(const std::vector<Rated>& rated, const OutlierDetection& settings,
                            std::vector<StatisticalOutlier>& outliers) {
  const bool local = settings.splitExternalLocalOriginErrors;
  for (const auto& host : rated) {
    if (100.0 - host.rate < settings.failurePercentageThreshold) continue;
    outliers.push_back(
        {host.host,
         local ? Detector::kFailurePercentageLocalOrigin : Detector::kFailurePercentage,
         local ? settings.enforcingFailurePercentageLocalOrigin
               : settings.enforcingFailurePercentage,
         {host.rate, 0, 0}});
  }
}

}  // namespace

std::vector<StatisticalOutlier> statisticalOutliers(const std::vector<HostOutcomes>& outcomes,
                                                    std::size_t hosts,
                                                    const OutlierDetection& settings) {
  std::vector<StatisticalOutlier> outliers;
  if (hosts < settings.successRateMinimumHosts && hosts < settings.failurePercentageMinimumHosts)
    return outliers;
  // The minimum counts hosts with enough volume, although the proto's comment says otherwise.
  const auto bySuccessRate = rate(outcomes, settings.successRateRequestVolume);
  if (!bySuccessRate.empty() && bySuccessRate.size() >= settings.successRateMinimumHosts)
    addBySuccessRate(bySuccessRate, settings, outliers);
  const auto byFailures = rate(outcomes, settings.failurePercentageRequestVolume);
  if (byFailures.size() >= settings.failurePercentageMinimumHosts)
    addByFailurePercentage(byFailures, settings, outliers);
  return outliers;
}

}  // namespace sockmesh
