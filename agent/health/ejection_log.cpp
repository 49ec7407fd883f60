// SPDX-License-Identifier: Apache-2.0
#include "health/ejection_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "base/log.h"
#include "base/unique_fd.h"

namespace sockmesh {
namespace {

using Action = EjectionEvent::Action;
using Json = nlohmann::ordered_json;

// Names of envoy.data.cluster.v3.OutlierEjectionType. The statistics have other names.
constexpr std::array<const char*, kDetectors> kTypeNames = {"CONSECUTIVE_5XX",
                                                            "CONSECUTIVE_GATEWAY_FAILURE",
                                                            "SUCCESS_RATE",
                                                            "CONSECUTIVE_LOCAL_ORIGIN_FAILURE",
                                                            "SUCCESS_RATE_LOCAL_ORIGIN",
                                                            "FAILURE_PERCENTAGE",
                                                            "FAILURE_PERCENTAGE_LOCAL_ORIGIN"};

// RFC 3339, UTC; milliseconds as proto3 JSON has them: three digits or none.
std::string timestamp(Nanos sinceEpoch) {
  const auto milliseconds = std::chrono::floor<std::chrono::milliseconds>(sinceEpoch);
  const auto seconds = std::chrono::floor<std::chrono::seconds>(milliseconds);
  const std::time_t time = seconds.count();
  std::tm utc{};
  gmtime_r(&time, &utc);
  std::array<char, 64> text{};
  std::size_t length = std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%S", &utc);
  if (const auto fraction = (milliseconds - seconds).count(); fraction != 0)
    length += static_cast<std::size_t>(std::snprintf(text.data() + length, text.size() - length,
                                                     ".%03d", static_cast<int>(fraction)));
  return std::string(text.data(), length) + "Z";
}

// As Envoy: the fraction is cut off.
std::uint32_t whole(double percent) {
  return percent > 0 ? static_cast<std::uint32_t>(percent) : 0;
}

void addDetails(Json& json, const EjectionEvent& event) {
  const EjectionEvent::Rates rates = event.rates.value_or(EjectionEvent::Rates{});
  switch (event.detector) {
    case Detector::kSuccessRate:
    case Detector::kSuccessRateLocalOrigin:
      json["eject_success_rate_event"] = {
          {"host_success_rate", whole(rates.host)},
          {"cluster_average_success_rate", whole(rates.average)},
          {"cluster_success_rate_ejection_threshold", whole(rates.threshold)}};
      return;
    case Detector::kFailurePercentage:
    case Detector::kFailurePercentageLocalOrigin:
      json["eject_failure_percentage_event"] = {{"host_success_rate", whole(rates.host)}};
      return;
    case Detector::kConsecutive5xx:
    case Detector::kConsecutiveGatewayFailure:
    case Detector::kConsecutiveLocalOriginFailure:
      json["eject_consecutive_event"] = Json::object();
      return;
  }
}

std::string ordinal(std::uint32_t n) {
  static constexpr std::array<const char*, 4> kSuffixes = {"th", "st", "nd", "rd"};
  const bool teen = n % 100 >= 11 && n % 100 <= 13;
  return std::to_string(n) + kSuffixes[teen || n % 10 > 3 ? 0 : n % 10];
}

// 0, or the error.
int append(const std::string& path, const std::string& line) {
  // Without waiting, because the path may be a pipe without a reader, and this runs on the control
  // thread.
  constexpr int kFlags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
  const UniqueFd file(open(path.c_str(), kFlags, 0644));
  if (!file.valid()) return errno;
  // One write: lines of several writers do not mix.
  const ssize_t written = ::write(file.get(), line.data(), line.size());
  if (written < 0) return errno;
  return static_cast<std::size_t>(written) == line.size() ? 0 : ENOSPC;
}

}  // namespace

std::string ejectionJson(const EjectionEvent& event, Nanos at) {
  Json json;
  json["type"] = kTypeNames[static_cast<std::size_t>(event.detector)];
  json["timestamp"] = timestamp(at);
  if (event.sinceLastAction) {
    const auto seconds = std::chrono::floor<std::chrono::seconds>(*event.sinceLastAction).count();
    json["secs_since_last_action"] = std::to_string(std::max<decltype(seconds)>(seconds, 0));
  }
  json["cluster_name"] = event.cluster;
  json["upstream_url"] = event.address.toString();
  const bool ejects = event.action == Action::kEject;
  json["action"] = ejects ? "EJECT" : "UNEJECT";
  json["num_ejections"] = event.ejections;
  // The fields from here on belong to ejections only.
  json["enforced"] = ejects && event.enforced;
  if (ejects) addDetails(json, event);
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string ejectionText(const EjectionEvent& event, Nanos until) {
  const std::string detector(detectorName(event.detector));
  std::string text = "cluster " + event.cluster + ": " + event.address.toString();
  if (event.action == Action::kUneject) return text + " returned (" + detector + ")";
  if (!event.enforced) return text + " not ejected: detected (" + detector + "), but not enforced";
  text += " ejected (" + detector;
  if (event.rates) text += ", success rate " + std::to_string(whole(event.rates->host)) + " %";
  text += "), " + ordinal(event.ejections) + " time";
  if (until.count() != 0) text += ", until " + timestamp(until);
  return text;
}

EjectionLog::EjectionLog(const Clock& clock, std::string path)
    : clock_(clock), path_(std::move(path)) {}

void EjectionLog::write(const EjectionEvent& event) {
  const Nanos wallAtBoot = clock_.wall() - clock_.monotonic();
  const bool lasts = event.ejectedUntil.count() != 0;
  const auto log = logger("health");
  log->info("{}", ejectionText(event, lasts ? wallAtBoot + event.ejectedUntil : Nanos{0}));
  if (path_.empty()) return;
  const int error = append(path_, ejectionJson(event, wallAtBoot + event.at) + "\n");
  if (error != 0 && !failing_)
    log->warn("cannot write ejections to {}: {}", path_, std::strerror(error));
  else if (error == 0 && failing_)
    log->info("ejections are written to {} again", path_);
  failing_ = error != 0;
}

}  // namespace sockmesh
