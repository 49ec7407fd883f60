// SPDX-License-Identifier: Apache-2.0
#include "kube/pod_rules.h"

namespace sockmesh {

bool PodRule::matches(const PodFacts& pod) const {
  return (namespaces.empty() || namespaces.contains(pod.space)) && labels.matches(pod.labels) &&
         annotations.matches(pod.annotations);
}

std::optional<NamedPod> decide(const std::vector<PodRule>& rules, const PodFacts& pod) {
  const PodRule* found = nullptr;
  for (const PodRule& rule : rules) {
    const bool stronger = found == nullptr || (found->letIn && !rule.letIn);
    if (stronger && rule.matches(pod)) found = &rule;
  }
  if (found == nullptr) return std::nullopt;
  return NamedPod{pod.space, pod.name, found->letIn, found->field};
}

}  // namespace sockmesh
