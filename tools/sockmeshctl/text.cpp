// SPDX-License-Identifier: Apache-2.0
#include "text.h"

#include <array>
#include <ctime>

#include "base/number_text.h"

namespace sockmesh::ctl {

std::string percentText(double percent) {
  return shortText(percent) + "%";
}

std::string secondsText(double seconds) {
  if (seconds < 1e-3) return shortText(seconds * 1e6) + "us";
  if (seconds < 1) return shortText(seconds * 1e3) + "ms";
  if (seconds < 60) return shortText(seconds) + "s";
  const auto whole = static_cast<std::uint64_t>(seconds);
  if (whole < 3600) return std::to_string(whole / 60) + "m" + std::to_string(whole % 60) + "s";
  return std::to_string(whole / 3600) + "h" + std::to_string(whole / 60 % 60) + "m";
}

std::string bytesText(std::uint64_t bytes) {
  constexpr std::array kUnits = {"B", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  return shortText(value) + kUnits[unit];
}

std::string join(const std::vector<std::string>& parts, const std::string& separator) {
  std::string out;
  for (const std::string& part : parts) {
    if (!out.empty()) out += separator;
    out += part;
  }
  return out;
}

std::string countText(std::size_t count, const std::string& one) {
  return std::to_string(count) + " " + one + (count == 1 ? "" : "s");
}

namespace {

// "2026-01-02T03:04:05"
std::string utcSeconds(std::time_t time) {
  std::tm parts{};
  gmtime_r(&time, &parts);
  std::array<char, 32> text{};
  const std::size_t length = std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%S", &parts);
  return {text.data(), length};
}

}  // namespace

std::string utcNow() {
  return utcSeconds(std::time(nullptr)) + "Z";
}

std::string utcText(std::int64_t sinceEpochNs) {
  constexpr std::int64_t kSecond = 1'000'000'000;
  const std::string millis = std::to_string(1000 + sinceEpochNs % kSecond / 1'000'000).substr(1);
  return utcSeconds(sinceEpochNs / kSecond) + "." + millis + "Z";
}

std::string withoutNewline(std::string text) {
  while (text.ends_with('\n')) text.pop_back();
  return text;
}

}  // namespace sockmesh::ctl
