// SPDX-License-Identifier: Apache-2.0
// What `sockmeshd --cleanup` removes.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "maps/pin_path.h"

namespace sockmesh {

struct CleanupReport {
  // The pins of one version; counted while they are there.
  struct Folder {
    std::string path;
    std::vector<std::string> programs;  // that were linked to a cgroup, by name
    std::size_t maps = 0;
    std::size_t pages = 0;  // parts of paged maps
  };
  std::vector<Folder> folders;
  std::vector<std::string> leftAlone;  // paths that belong to another user
  std::string unmounted;               // a bpffs that an agent had mounted; empty: none

  // Counts what is pinned there. Nothing if the folder does not exist.
  void add(const PinPath& pins);
  // In words, a line each: "removed 7 programs (...), 24 maps (...) and their pins: FOLDER".
  std::vector<std::string> lines(const std::string& bpffsRoot) const;
};

}  // namespace sockmesh
