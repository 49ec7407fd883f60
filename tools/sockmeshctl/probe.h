// SPDX-License-Identifier: Apache-2.0
// Connects like an application of this network namespace and cgroup, and looks where the
// connections really lead. Needs no privileges and no agent.
#pragma once

#include <chrono>
#include <map>
#include <string>

#include "base/host_port.h"
#include "base/result.h"
#include "model/address.h"

namespace sockmesh::ctl {

struct ProbeReport {
  SocketAddress address;                    // what the name stands for
  std::map<SocketAddress, int> endpoints;   // where established connections lead, and how many
  std::map<SocketAddress, int> peersShown;  // what getpeername() says of them
  std::map<std::string, int> failures;      // by reason

  int established() const;
  int failed() const;
  // How many lead elsewhere than to `address`.
  int rewritten() const;
};

// Makes `count` connections to `target`, one after the other, and closes each at once. An Error if
// the name has no address.
Result<ProbeReport> probe(const HostPort& target, int count, std::chrono::milliseconds timeout);

}  // namespace sockmesh::ctl
