// SPDX-License-Identifier: Apache-2.0
#include "model/assignment.h"

namespace sockmesh {

std::string Locality::toString() const {
  if (!subZone.empty()) return region + "/" + zone + "/" + subZone;
  if (!zone.empty()) return region + "/" + zone;
  return region;
}

std::string_view edsHealthName(EdsHealth health) {
  switch (health) {
    case EdsHealth::kUnknown:
      return "UNKNOWN";
    case EdsHealth::kHealthy:
      return "HEALTHY";
    case EdsHealth::kUnhealthy:
      return "UNHEALTHY";
    case EdsHealth::kDraining:
      return "DRAINING";
    case EdsHealth::kTimeout:
      return "TIMEOUT";
    case EdsHealth::kDegraded:
      return "DEGRADED";
  }
  return "unknown";
}

}  // namespace sockmesh
