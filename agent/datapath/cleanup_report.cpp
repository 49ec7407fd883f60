// SPDX-License-Identifier: Apache-2.0
#include "datapath/cleanup_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

namespace sockmesh {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> filesIn(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code failed;
  for (const auto& entry : fs::directory_iterator(folder, failed)) {
    std::error_code ignored;
    if (!entry.is_directory(ignored)) names.push_back(entry.path().filename());
  }
  std::ranges::sort(names);
  return names;
}

std::string counted(std::size_t count, const std::string& what) {
  return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

}  // namespace

void CleanupReport::add(const PinPath& pins) {
  std::error_code failed;
  if (!fs::exists(pins.folder, failed)) return;
  folders.push_back({pins.folder, filesIn(pins.links()), filesIn(pins.maps()).size(),
                     filesIn(pins.maps() + "/pages").size()});
}

std::vector<std::string> CleanupReport::lines(const std::string& bpffsRoot) const {
  std::vector<std::string> out;
  for (const Folder& folder : folders) {
    const std::string names =
        folder.programs.empty() ? "" : fmt::format(" ({})", fmt::join(folder.programs, ", "));
    out.push_back(fmt::format("{}: detached and removed {}{}, removed {} and {} of them",
                              folder.path, counted(folder.programs.size(), "program"), names,
                              counted(folder.maps, "map"), counted(folder.pages, "page")));
  }
  for (const std::string& path : leftAlone) {
    out.push_back(fmt::format("{}: left alone, because another user may have put it there", path));
  }
  if (!unmounted.empty()) {
    out.push_back(fmt::format("{}: unmounted, it was mounted by sockmeshd", unmounted));
  }
  if (out.empty()) out.push_back(fmt::format("nothing to remove: no pins under {}", bpffsRoot));
  return out;
}

}  // namespace sockmesh
