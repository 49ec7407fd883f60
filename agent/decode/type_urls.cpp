// SPDX-License-Identifier: Apache-2.0
#include "decode/type_urls.h"

namespace sockmesh {

std::string shortTypeName(std::string_view typeUrl) {
  if (typeUrl == kClusterType) return "CDS";
  if (typeUrl == kAssignmentType) return "EDS";
  if (typeUrl == kListenerType) return "LDS";
  if (typeUrl == kRouteType) return "RDS";
  if (typeUrl == kNameTableType) return "NDS";
  if (typeUrl == kWorkloadType) return "WDS";
  return std::string(typeUrl);
}

}  // namespace sockmesh
