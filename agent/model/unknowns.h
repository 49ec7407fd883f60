// SPDX-License-Identifier: Apache-2.0
// Of which resources nothing is known that could be used. Unknown is not absent.
#pragma once

#include <set>
#include <string>

namespace sockmesh {

// Resources that the control plane has and of which no version could be used so far. The kernel
// holds their last good state. By name.
struct Unknowns {
  std::set<std::string> listeners;  // with all their parts
  std::set<std::string> clusters;
  bool anyListener = false;  // one whose name could not be read: it may be any
  // Whether the service of this name may be one of an unknown listener.
  bool mayHave(const std::string& service) const;
  bool operator==(const Unknowns&) const = default;
};

}  // namespace sockmesh
