// SPDX-License-Identifier: Apache-2.0
// In place of agent/ads/ads_channel.cpp: the fuzzers' control planes need no connection.
#include "ads/ads_channel.h"

namespace sockmesh {

Result<AdsConnection> makeAdsConnection(const AdsChannelOptions& /*options*/) {
  return AdsConnection{};
}

}  // namespace sockmesh
