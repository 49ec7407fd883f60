// SPDX-License-Identifier: Apache-2.0
#include "maps/client_text.h"

#include "sockmesh_abi.h"

namespace sockmesh {

std::string clientText(std::uint64_t client) {
  if (client == 0) return "others";
  const std::string number = std::to_string(client & ~SM_CLIENT_KIND);
  switch (client & SM_CLIENT_KIND) {
    case SM_CLIENT_IS_POD:
      return "pod:" + number;
    case SM_CLIENT_IS_USER:
      return "uid:" + number;
    default:
      return "netns:" + number;
  }
}

}  // namespace sockmesh
