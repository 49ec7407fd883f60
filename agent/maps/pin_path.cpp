// SPDX-License-Identifier: Apache-2.0
#include "maps/pin_path.h"

#include <algorithm>
#include <filesystem>
#include <string_view>
#include <system_error>

#include "maps/private_folder.h"
#include "sockmesh_abi.h"

namespace sockmesh {
namespace {

constexpr std::string_view kPrefix = "sockmesh-v";

// Everything in the bpffs that has the name of a folder of pins.
std::vector<PinPath> allIn(const std::string& bpffsRoot) {
  std::vector<PinPath> all;
  std::error_code failed;
  for (const auto& entry : std::filesystem::directory_iterator(bpffsRoot, failed)) {
    if (!entry.path().filename().string().starts_with(kPrefix)) continue;
    all.emplace_back(bpffsRoot).folder = entry.path();
  }
  std::sort(all.begin(), all.end(),
            [](const PinPath& a, const PinPath& b) { return a.folder < b.folder; });
  return all;
}

}  // namespace

PinPath::PinPath(const std::string& root)
    : bpffsRoot(root), folder(root + "/" + std::string(kPrefix) + std::to_string(SM_ABI_VERSION)) {}

std::vector<PinPath> PinPath::ofOtherVersions(const std::string& bpffsRoot) {
  std::vector<PinPath> others = allIn(bpffsRoot);
  std::erase_if(others, [own = PinPath(bpffsRoot)](const PinPath& pins) {
    return pins.folder == own.folder || !checkPrivateFolder(pins.folder);
  });
  return others;
}

std::vector<PinPath> PinPath::ofOtherUsers(const std::string& bpffsRoot) {
  std::vector<PinPath> others = allIn(bpffsRoot);
  std::erase_if(others, [](const PinPath& pins) { return checkPrivateFolder(pins.folder).ok(); });
  return others;
}

}  // namespace sockmesh
