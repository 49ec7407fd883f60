// SPDX-License-Identifier: Apache-2.0
// The listener filters of a UDP listener, as far as a socket can follow them: docs/envoy.md 7.5.
#pragma once

#include "decode/field_errors.h"
#include "decode/network_filters.h"
#include "envoy/config/listener/v3/listener.pb.h"

namespace sockmesh {

// What a UDP listener does to a datagram: its udp_proxy, as a route. `proto` is at the errors'
// present path.
ChainRoute decodeUdpFilters(const envoy::config::listener::v3::Listener& proto,
                            FieldErrors& errors);

}  // namespace sockmesh
