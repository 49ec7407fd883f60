// SPDX-License-Identifier: Apache-2.0
// A pattern for the paths of cgroups: names between slashes, each a shell pattern (`*`, `?`,
// `[...]`), and `**` for any number of names.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace sockmesh {

// "/a/b" is {"a", "b"}.
std::vector<std::string> pathNames(std::string_view path);

class PathGlob {
 public:
  // An absolute path of at least one name.
  static Result<PathGlob> parse(const std::string& pattern);

  bool matches(std::span<const std::string> path) const;
  // Whether something below `path` may match.
  bool mayMatchBelow(std::span<const std::string> path) const;

 private:
  explicit PathGlob(std::vector<std::string> names) : names_(std::move(names)) {}
  std::vector<std::string> names_;
};

}  // namespace sockmesh
