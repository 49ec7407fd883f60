// SPDX-License-Identifier: Apache-2.0
#include "model/assignment.h"

namespace sockmesh {

std::string Locality::toString() const {
  if (!subZone.empty()) return region + "/" + zone + "/" + subZone;
  if (!zone.empty()) return region + "/" + zone;
  return region;
}

}  // namespace sockmesh
