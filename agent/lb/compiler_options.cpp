// SPDX-License-Identifier: Apache-2.0
#include "lb/compiler_options.h"

namespace sockmesh {

std::uint32_t AffinityOptions::secondsOf(const std::string& service,
                                         const SocketAddress& vip) const {
  if (const auto found = byVip.find(vip); found != byVip.end()) return found->second;
  const auto found = byService.find(service);
  return found == byService.end() ? 0 : found->second;
}

}  // namespace sockmesh
