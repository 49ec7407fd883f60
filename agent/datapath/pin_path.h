// Where links and maps are pinned. The folder carries the ABI version, so that an agent with other
// layouts never adopts them.
#pragma once

#include <string>

#include "sockmesh_abi.h"

namespace sockmesh {

inline constexpr const char* kDefaultBpffsRoot = "/sys/fs/bpf";

struct PinPath {
  explicit PinPath(const std::string& bpffsRoot)
      : folder(bpffsRoot + "/sockmesh-v" + std::to_string(SM_ABI_VERSION)) {}

  std::string folder;
  std::string maps() const { return folder + "/maps"; }    // maps/NAME and maps/pages/NAME-N
  std::string links() const { return folder + "/links"; }  // links/PROGRAM
};

}  // namespace sockmesh
