// SPDX-License-Identifier: Apache-2.0
// In place of agent/xds/ads_channel.cpp: the fuzzers' control planes need no connection.
#include "xds/ads_channel.h"

namespace sockmesh {

Result<AdsConnection> makeAdsConnection(const AdsChannelOptions& /*options*/) {
  return AdsConnection{};
}

}  // namespace sockmesh
