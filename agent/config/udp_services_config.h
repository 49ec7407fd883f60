// SPDX-License-Identifier: Apache-2.0
// `udp_services` of the agent's configuration.
#pragma once

#include <vector>

#include "decode/field_errors.h"
#include "sockmesh/config/v1/config.pb.h"
#include "sources/udp_services.h"

namespace sockmesh {

// The services that the file names. What is wrong goes to `errors`, with its path.
std::vector<UdpService> decodeUdpServices(const sockmesh::config::v1::AgentConfig& proto,
                                          FieldErrors& errors);

}  // namespace sockmesh
