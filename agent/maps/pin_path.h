// SPDX-License-Identifier: Apache-2.0
// Where links and maps are pinned. The folder carries the ABI version, so that an agent with other
// layouts never adopts them.
#pragma once

#include <string>
#include <vector>

namespace sockmesh {

struct PinPath {
  // Where this build pins.
  explicit PinPath(const std::string& bpffsRoot);
  // Pins that builds with another SM_ABI_VERSION left here. Folders of another user are not among
  // them, because another user can give a folder any name.
  static std::vector<PinPath> ofOtherVersions(const std::string& bpffsRoot);
  // Folders that have the name of pins and belong to another user, or that others may use.
  static std::vector<PinPath> ofOtherUsers(const std::string& bpffsRoot);

  std::string bpffsRoot;
  std::string folder;                                    // only for its owner: private_folder.h
  std::string maps() const { return folder + "/maps"; }  // maps/NAME and maps/pages/NAME-N
  std::string pages() const { return maps() + "/pages"; }
  std::string links() const { return folder + "/links"; }  // links/PROGRAM
  // programs/RECIPE/PROGRAM: programs.h
  std::string programs() const { return folder + "/programs"; }
};

}  // namespace sockmesh
