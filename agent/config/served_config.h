// SPDX-License-Identifier: Apache-2.0
// `served` of the agent's configuration: which pods are served.
#pragma once

#include "decode/field_errors.h"
#include "served/served_options.h"
#include "sockmesh/config/v1/config.pb.h"

namespace sockmesh {

// What is wrong goes to `errors`, with its path.
ServedOptions decodeServed(const sockmesh::config::v1::AgentConfig& proto, FieldErrors& errors);

}  // namespace sockmesh
