// SPDX-License-Identifier: Apache-2.0
// The part of the configuration that says how to reach the control plane.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ads/ads_channel.h"
#include "base/clock.h"
#include "decode/field_errors.h"
#include "envoy/config/core/v3/core.pb.h"
#include "sockmesh/config/v1/config.pb.h"

namespace sockmesh {

// `node` is whole, see config/node_identity.h. Mistakes go to `errors`, below "ads". The address is
// not checked.
AdsChannelOptions takeAds(const sockmesh::config::v1::Ads& proto,
                          const envoy::config::core::v3::Node& node, FieldErrors& errors);

// Further addresses, checked.
std::vector<std::string> takeFallbacks(const sockmesh::config::v1::Ads& proto, FieldErrors& errors);

// Nothing: what the control plane said counts for ever.
std::optional<Nanos> takeStaleAfter(const sockmesh::config::v1::Ads& proto, FieldErrors& errors);

// gRPC resolves the address, and accepts much more than HOST:PORT.
void checkAdsAddress(const std::string& address, FieldErrors& errors);

}  // namespace sockmesh
