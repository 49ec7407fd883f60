// SPDX-License-Identifier: Apache-2.0
// The programs of a whole installation. Each is pinned as a link of its name.
#pragma once

#include <string>
#include <vector>

namespace sockmesh {

// In the order of attaching: outcomes before connects, so that no record goes unseen, and receiving
// before sending; they are detached in the opposite order.
inline const std::vector<std::string>& programNames() {
  static const std::vector<std::string> kNames = {
      "sm_sock_ops",     "sm_sock_release", "sm_sock_error", "sm_getpeername4",
      "sm_getpeername6", "sm_recvmsg6",     "sm_recvmsg4",   "sm_sendmsg6",
      "sm_sendmsg4",     "sm_connect6",     "sm_connect4"};
  return kNames;
}

}  // namespace sockmesh
