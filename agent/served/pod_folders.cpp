// SPDX-License-Identifier: Apache-2.0
#include "served/pod_folders.h"

#include <algorithm>
#include <utility>

namespace sockmesh {
namespace {

constexpr std::string_view kPod = "pod";
constexpr std::string_view kSlicePod = "-pod";
constexpr std::string_view kSlice = ".slice";

}  // namespace

std::vector<PathGlob> podFolders() {
  std::vector<PathGlob> globs;
  for (const std::string above : {"", "/*", "/*/*", "/*/*/*"}) {
    for (const char* below : {"/kubepods/pod*", "/kubepods/*/pod*", "/*kubepods.slice/*-pod*.slice",
                              "/*kubepods.slice/*/*-pod*.slice"}) {
      auto glob = PathGlob::parse(above + below);
      if (glob) globs.push_back(std::move(glob).value());
    }
  }
  return globs;
}

std::optional<std::string> podUidOf(std::string_view path) {
  std::string_view name = path.substr(path.rfind('/') + 1);
  if (name.starts_with(kPod) && !name.ends_with(kSlice)) {
    return std::string(name.substr(kPod.size()));
  }
  const std::size_t at = name.rfind(kSlicePod);
  if (at == std::string_view::npos || !name.ends_with(kSlice)) return std::nullopt;
  name.remove_suffix(kSlice.size());
  std::string uid(name.substr(at + kSlicePod.size()));
  // systemd's names of slices use "-" for nesting.
  std::ranges::replace(uid, '_', '-');
  return uid;
}

}  // namespace sockmesh
