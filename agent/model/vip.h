// SPDX-License-Identifier: Apache-2.0
// What a service is reached at: an address and a port, or a range of addresses and a port.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "model/address.h"

namespace sockmesh {

struct Vip {
  static constexpr std::uint8_t kAddressBits = 128;

  IpAddress ip;  // of a range: its first address
  std::uint16_t port = 0;
  // How many bits of the 128 all addresses share. A range of IPv4 addresses has 96 or more.
  std::uint8_t bits = kAddressBits;

  Vip() = default;
  // NOLINTNEXTLINE(google-explicit-constructor): an address is the usual VIP
  Vip(const SocketAddress& address) : ip(address.ip), port(address.port) {}
  Vip(const IpAddress& first, std::uint16_t portOfAll, std::uint8_t sharedBits = kAddressBits)
      : ip(first), port(portOfAll), bits(sharedBits) {}

  // "10.0.0.1:80", "[2001:db8::1]:80", "10.1.0.0/16:80" or "[2001:db8::/32]:80".
  static Result<Vip> parse(std::string_view text);

  bool isRange() const { return bits != kAddressBits; }
  // As people write it: of 32 for IPv4.
  unsigned prefixLength() const;
  bool contains(const IpAddress& address) const;
  // Whether `other` has the same port, and no address outside.
  bool contains(const Vip& other) const;
  // The first address, with the port.
  SocketAddress address() const { return {ip, port}; }
  std::string hostText() const;  // "10.0.0.1", "10.1.0.0/16"
  std::string toString() const;

  auto operator<=>(const Vip&) const = default;
};

// `ip` with the bits beyond the first `bits` set to 0.
IpAddress maskedTo(const IpAddress& ip, unsigned bits);

}  // namespace sockmesh
