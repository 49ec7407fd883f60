// SPDX-License-Identifier: Apache-2.0
#include "served/path_glob.h"

#include <fmt/format.h>
#include <fnmatch.h>

#include <algorithm>
#include <utility>

namespace sockmesh {
namespace {

constexpr std::string_view kAnyNames = "**";

// All places in the pattern at which a walk along `path` may be. A place is how many names of the
// pattern are behind it.
std::vector<bool> placesAfter(const std::vector<std::string>& pattern,
                              std::span<const std::string> path) {
  std::vector<bool> at(pattern.size() + 1);
  at[0] = true;
  // `**` may also stand for no name.
  const auto skip = [&] {
    for (std::size_t i = 0; i < pattern.size(); ++i) {
      if (at[i] && pattern[i] == kAnyNames) at[i + 1] = true;
    }
  };
  skip();
  for (const std::string& name : path) {
    std::vector<bool> next(at.size());
    for (std::size_t i = 0; i < pattern.size(); ++i) {
      if (!at[i]) continue;
      if (pattern[i] == kAnyNames) {
        next[i] = true;
      } else if (fnmatch(pattern[i].c_str(), name.c_str(), 0) == 0) {
        next[i + 1] = true;
      }
    }
    at = std::move(next);
    skip();
  }
  return at;
}

}  // namespace

std::vector<std::string> pathNames(std::string_view path) {
  std::vector<std::string> names;
  while (!path.empty()) {
    const std::size_t end = std::min(path.find('/'), path.size());
    if (end > 0) names.emplace_back(path.substr(0, end));
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  return names;
}

Result<PathGlob> PathGlob::parse(const std::string& pattern) {
  if (!pattern.starts_with('/')) return Error("\"" + pattern + "\" does not begin with /");
  auto names = pathNames(pattern);
  if (names.empty()) return Error("\"" + pattern + "\" names no cgroup");
  for (const std::string& name : names) {
    if (name != kAnyNames && name.find(kAnyNames) != std::string::npos) {
      return Error("\"" + pattern + "\": ** stands alone between slashes");
    }
    if (name == "." || name == "..") return Error(fmt::format("\"{}\" has {}", pattern, name));
  }
  return PathGlob(std::move(names));
}

bool PathGlob::matches(std::span<const std::string> path) const {
  return placesAfter(names_, path).back();
}

bool PathGlob::mayMatchBelow(std::span<const std::string> path) const {
  const std::vector<bool> at = placesAfter(names_, path);
  return std::find(at.begin(), at.end() - 1, true) != at.end() - 1;
}

}  // namespace sockmesh
