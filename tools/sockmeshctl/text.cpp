#include "text.h"

#include <array>
#include <cstdio>

namespace sockmesh::ctl {
namespace {

// At most one decimal, and none where it is 0.
std::string shortNumber(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.1f", value);
  std::string out(text.data());
  if (out.ends_with(".0")) out.resize(out.size() - 2);
  return out;
}

}  // namespace

std::string numberText(double value) {
  return shortNumber(value);
}

std::string percentText(double percent) {
  return shortNumber(percent) + "%";
}

std::string secondsText(double seconds) {
  if (seconds < 1e-3) return shortNumber(seconds * 1e6) + "us";
  if (seconds < 1) return shortNumber(seconds * 1e3) + "ms";
  if (seconds < 60) return shortNumber(seconds) + "s";
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
  return shortNumber(value) + kUnits[unit];
}

std::string join(const std::vector<std::string>& parts, const std::string& separator) {
  std::string out;
  for (const std::string& part : parts) {
    if (!out.empty()) out += separator;
    out += part;
  }
  return out;
}

}  // namespace sockmesh::ctl
