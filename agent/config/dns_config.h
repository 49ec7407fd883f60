// SPDX-License-Identifier: Apache-2.0
// `dns` of the agent's configuration.
#pragma once

#include <vector>

#include "decode/field_errors.h"
#include "model/address.h"
#include "sockmesh/config/v1/config.pb.h"

namespace sockmesh {

struct DnsOptions {
  std::vector<SocketAddress> servers;  // empty: those of /etc/resolv.conf
  bool frontends = false;              // services without a VIP have VIPs by their names
};

// What is wrong goes to `errors`, with its path.
DnsOptions decodeDnsOptions(const sockmesh::config::v1::AgentConfig& proto, FieldErrors& errors);

}  // namespace sockmesh
