// SPDX-License-Identifier: Apache-2.0
// Pods that a rule names by what the API server says of them. Only the agent knows them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "agent_client.h"
#include "document.h"

namespace sockmesh::ctl {

struct NamedPodRule {
  std::string pod;       // "NAMESPACE/NAME"
  std::string uid;       // as the pod's cgroup has it
  std::string decision;  // "left_out", "let_in"
  std::string rule;      // "served.leave_out[0]"
};

std::vector<NamedPodRule> namedPodsOf(const AgentReport& agent);

// The one whose cgroup holds `path`; null: none.
const NamedPodRule* podOfCgroup(const std::vector<NamedPodRule>& pods, const std::string& path);

// "Pods: 3 of API server HOST:PORT, watched since TIME; ...", for `status`. Nothing without a
// watch.
void addPodWatch(const AgentReport& agent, Document& out);

}  // namespace sockmesh::ctl
