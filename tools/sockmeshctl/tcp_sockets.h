// SPDX-License-Identifier: Apache-2.0
// The node's TCP sockets as `ss` sees them, to put an address and a namespace beside the cookie of
// a connection record.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>

namespace sockmesh::ctl {

struct TcpSocket {
  std::string local;        // as `ss` prints it: "10.244.1.9:43210", "[::ffff:10.244.1.9]:43210"
  std::uint32_t inode = 0;  // "ino:" of `ss -e`; 0 where no descriptor is open any more
  std::string netns;        // "net:[4026531840]", as in /proc/PID/ns/net
  std::string netnsPath;    // a file that leads there, for nsenter --net=
};

using TcpSockets = std::unordered_map<std::uint64_t, TcpSocket>;  // by cookie, "sk:" of `ss -e`

// The sockets of all network namespaces that a process or a mount holds, except listening sockets.
// A namespace that cannot be entered is left out. Runs in a thread of its own, because that thread
// changes namespaces.
TcpSockets readTcpSockets();

}  // namespace sockmesh::ctl
