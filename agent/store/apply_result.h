// SPDX-License-Identifier: Apache-2.0
// The result of applying one response of the control plane.
#pragma once

#include <string>
#include <vector>

namespace sockmesh {

struct RejectedResource {
  std::string name;    // "" where it could not even be read
  std::string reason;  // field paths and what is wrong with them
};

// Good resources are taken, also beside bad ones. A bad resource keeps its previous version. If
// anything is rejected, the response is NACKed.
struct ApplyResult {
  std::vector<std::string> accepted;  // names, also of unchanged ones
  std::vector<RejectedResource> rejected;
  bool changed = false;  // the snapshot differs
  // A name is rejected because another source has it.
  bool contested = false;

  bool ok() const { return rejected.empty(); }
  // "name: reason; name: reason", for error_detail; at most about 4 KiB, then "and N more".
  std::string message() const;
};

}  // namespace sockmesh
