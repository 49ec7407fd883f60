// SPDX-License-Identifier: Apache-2.0
#include "model/unknowns.h"

namespace sockmesh {

// A part's name is the listener's, a slash and more. Both names may have slashes.
bool Unknowns::mayHave(const std::string& service) const {
  if (anyListener || listeners.contains(service)) return true;
  if (listeners.empty()) return false;
  for (auto at = service.find('/'); at != std::string::npos; at = service.find('/', at + 1)) {
    if (listeners.contains(service.substr(0, at))) return true;
  }
  return false;
}

}  // namespace sockmesh
