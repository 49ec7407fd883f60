// SPDX-License-Identifier: Apache-2.0
// Where connect() leads from here, without a packet. With TCP Fast Open and no cookie the kernel
// runs connect() with all its hooks, and sends the SYN with the first byte that is written. None is
// written. Each attempt counts as one selection, and neither as established nor as failed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/address.h"

namespace sockmesh::ctl {

struct SilentConnect {
  std::optional<SocketAddress> leadsTo;  // the peer that TCP has; IPv4 also for a v4-mapped one
  int errnum = 0;                        // of connect(), where it failed
};

// `count` attempts by TCP sockets of the address's family, in this thread's network namespace and
// cgroup. Needs no privileges. An Error where connect() cannot be had without a packet: the sysctl
// net.ipv4.tcp_fastopen lacks the client's bit 1.
Result<std::vector<SilentConnect>> connectSilently(const SocketAddress& address,
                                                   std::uint32_t count);

}  // namespace sockmesh::ctl
