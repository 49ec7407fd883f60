// SPDX-License-Identifier: Apache-2.0
// Addresses as values. IPv4 is kept v4-mapped in 16 bytes, so that both families compare and hash
// alike. `isV4()` tells them apart. Text output is canonical (inet_ntop).
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace sockmesh {

class IpAddress {
 public:
  IpAddress() = default;  // ::

  // "10.0.0.1" or "2001:db8::1", no brackets, no zone. A v4-mapped text is the IPv4 address.
  static Result<IpAddress> parse(std::string_view text);
  // `bytes` are in network order.
  static IpAddress v4(const std::array<std::uint8_t, 4>& bytes);
  static IpAddress v6(const std::array<std::uint8_t, 16>& bytes);

  bool isV4() const;
  bool isUnspecified() const;  // 0.0.0.0 or ::
  // Network order; IPv4 as ::ffff:a.b.c.d.
  const std::array<std::uint8_t, 16>& bytes() const { return bytes_; }
  std::string toString() const;

  auto operator<=>(const IpAddress&) const = default;

 private:
  std::array<std::uint8_t, 16> bytes_{};
};

// An address and a port; the port is in host order.
struct SocketAddress {
  IpAddress ip;
  std::uint16_t port = 0;

  // "10.0.0.1:80" or "[2001:db8::1]:80": Envoy's host identity and hash key.
  static Result<SocketAddress> parse(std::string_view text);
  std::string toString() const;
  auto operator<=>(const SocketAddress&) const = default;
};

enum class Protocol : std::uint8_t { kTcp = 6, kUdp = 17 };

}  // namespace sockmesh

template <>
struct std::hash<sockmesh::IpAddress> {
  std::size_t operator()(const sockmesh::IpAddress& ip) const noexcept {
    return std::hash<std::string_view>{}(
        {reinterpret_cast<const char*>(ip.bytes().data()), ip.bytes().size()});
  }
};

template <>
struct std::hash<sockmesh::SocketAddress> {
  std::size_t operator()(const sockmesh::SocketAddress& address) const noexcept {
    return std::hash<sockmesh::IpAddress>{}(address.ip) * 31 + address.port;
  }
};
