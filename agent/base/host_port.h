// SPDX-License-Identifier: Apache-2.0
// HOST:PORT where the host may be a name, as gRPC takes it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace sockmesh {

struct HostPort {
  std::string host;  // without the brackets of an IPv6 address
  std::uint16_t port = 0;
};

enum class LowestPort : std::uint8_t { kAny = 0, kOne = 1 };  // kAny: 0 asks for a free one

// "istiod.istio-system.svc:15010", "10.0.0.1:80", "[fd00::1]:80". For another text the error says
// what is wrong and, if it is known, what to write.
Result<HostPort> parseHostPort(std::string_view text, LowestPort lowest = LowestPort::kOne);

}  // namespace sockmesh
