// SPDX-License-Identifier: Apache-2.0
#include "lb/compiler_options.h"

namespace sockmesh {

std::uint32_t AffinityOptions::secondsOf(const std::string& service, const Vip& vip) const {
  const auto named = vip.isRange() ? byVip.end() : byVip.find(vip.address());
  if (named != byVip.end()) return named->second;
  const auto found = byService.find(service);
  return found == byService.end() ? 0 : found->second;
}

}  // namespace sockmesh
