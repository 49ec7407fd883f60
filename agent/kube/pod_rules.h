// SPDX-License-Identifier: Apache-2.0
// What the API server says of a pod, and the rules of the configuration that go by it.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "kube/label_selector.h"
#include "stats/agent_stats.h"

namespace sockmesh {

struct PodFacts {
  std::string uid;    // as the pod's cgroup has it
  std::string space;  // the namespace
  std::string name;
  Labels labels;
  Labels annotations;
};

// All that is given must be true of a pod.
struct PodRule {
  std::string field;  // "served.leave_out[0]"
  bool letIn = false;
  std::set<std::string> namespaces;  // empty: any
  LabelSelector labels;
  LabelSelector annotations;

  bool matches(const PodFacts& pod) const;
};

// Of the rules that match, one that leaves out wins, then the first. Nothing: no rule matches.
std::optional<NamedPod> decide(const std::vector<PodRule>& rules, const PodFacts& pod);

}  // namespace sockmesh
