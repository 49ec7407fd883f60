// SPDX-License-Identifier: Apache-2.0
#include "agent_names.h"

#include "agent_json.h"

namespace sockmesh::ctl {

std::string WorkloadName::text() const {
  return space.empty() || name.empty() ? space + name : space + "/" + name;
}

const WorkloadName* AgentNames::at(const IpAddress& address) const {
  const auto found = workloads.find(address);
  return found == workloads.end() ? nullptr : &found->second;
}

AgentNames namesOf(const Json& answer) {
  AgentNames names;
  for (const Json& one : child(answer, "workloads", Json::value_t::array)) {
    const auto address = IpAddress::parse(text(one, "address"));
    if (!address) continue;
    names.workloads[*address] = {text(one, "name"), text(one, "namespace"), text(one, "node")};
  }
  for (const Json& one : child(answer, "hosts", Json::value_t::array)) {
    const HostProblem host{text(one, "name"), text(one, "problem"), text(one, "stale") == "true",
                           child(one, "addresses", Json::value_t::array).size()};
    if (host.problem.empty() && !host.stale) continue;
    for (const std::string& cluster : strings(one, "clusters")) {
      names.hosts[cluster].push_back(host);
    }
  }
  return names;
}

Json toJson(const WorkloadName& workload) {
  return {{"name", workload.name}, {"namespace", workload.space}, {"node", workload.node}};
}

}  // namespace sockmesh::ctl
