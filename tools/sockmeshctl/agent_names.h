// SPDX-License-Identifier: Apache-2.0
// What the agent knows of endpoints and the kernel does not: the workload at an address, and host
// names that do not resolve. Empty without the agent.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "document.h"
#include "model/address.h"

namespace sockmesh::ctl {

struct WorkloadName {
  std::string name;
  std::string space;  // its namespace
  std::string node;

  // "shop/cart-1"; "" where neither is known.
  std::string text() const;
};

// A host name of a DNS cluster that is not as it should be.
struct HostProblem {
  std::string name;
  std::string problem;  // why it brings no address; "" where it was not asked yet
  bool stale = false;   // its addresses are those that an earlier agent knew
  std::size_t addresses = 0;
};

struct AgentNames {
  std::map<IpAddress, WorkloadName> workloads;
  std::map<std::string, std::vector<HostProblem>> hosts;  // by cluster

  // Null: it is not known.
  const WorkloadName* at(const IpAddress& address) const;
};

// Of the agent's GET /names. What cannot be read is left out.
AgentNames namesOf(const Json& answer);

// {"name", "namespace", "node"}
Json toJson(const WorkloadName& workload);

}  // namespace sockmesh::ctl
