// SPDX-License-Identifier: Apache-2.0
// The network filters of a filter chain, as far as a connect() can follow them.
#pragma once

#include <string>

#include "decode/decoded_listener.h"
#include "decode/field_errors.h"
#include "envoy/config/listener/v3/listener.pb.h"

namespace sockmesh {

// Reads and checks `chain`, which is at the errors' present path, whether it is used or not.
ChainRoute decodeChain(const envoy::config::listener::v3::FilterChain& chain, FieldErrors& errors);

// Whether a filter of this name and type decides over connections (RBAC, ext_authz, rate limits,
// ...), so that it must not be ignored.
bool decidesOverConnections(const std::string& name, const std::string& type);

}  // namespace sockmesh
