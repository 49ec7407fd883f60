// SPDX-License-Identifier: Apache-2.0
#include "datapath/pin_path.h"

#include <algorithm>
#include <filesystem>
#include <string_view>
#include <system_error>

#include "sockmesh_abi.h"

namespace sockmesh {
namespace {

constexpr std::string_view kPrefix = "sockmesh-v";

}  // namespace

PinPath::PinPath(const std::string& bpffsRoot)
    : folder(bpffsRoot + "/" + std::string(kPrefix) + std::to_string(SM_ABI_VERSION)) {}

std::vector<PinPath> PinPath::ofOtherVersions(const std::string& bpffsRoot) {
  const PinPath own(bpffsRoot);
  std::vector<PinPath> others;
  std::error_code failed;
  for (const auto& entry : std::filesystem::directory_iterator(bpffsRoot, failed)) {
    if (!entry.path().filename().string().starts_with(kPrefix)) continue;
    PinPath pins = own;
    pins.folder = entry.path();
    if (pins.folder != own.folder) others.push_back(std::move(pins));
  }
  std::sort(others.begin(), others.end(),
            [](const PinPath& a, const PinPath& b) { return a.folder < b.folder; });
  return others;
}

}  // namespace sockmesh
