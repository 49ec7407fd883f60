// SPDX-License-Identifier: Apache-2.0
// `kubernetes` of the agent's configuration, and the rules of `served` that go by pods.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "decode/field_errors.h"
#include "kube/pod_watch.h"
#include "sockmesh/config/v1/config.pb.h"

namespace sockmesh {

// A rule by pods. `field` is its path. What is wrong goes to `errors`, with its path.
PodRule decodePods(const sockmesh::config::v1::Pods& proto, const std::string& field, bool letIn,
                   FieldErrors& errors);

// The watch that the rules need; nothing if there are none. `nodeName` is the default's. Variables
// of the environment are read.
std::optional<PodWatchOptions> decodeKubernetes(const sockmesh::config::v1::AgentConfig& proto,
                                                const std::vector<PodRule>& rules,
                                                const std::string& nodeName, FieldErrors& errors);

}  // namespace sockmesh
