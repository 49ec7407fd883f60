// SPDX-License-Identifier: Apache-2.0
#include "model/vip.h"

#include <charconv>

namespace sockmesh {
namespace {

constexpr unsigned kV4Offset = 96;  // IPv4 sits in the last 32 bits

}  // namespace

IpAddress maskedTo(const IpAddress& ip, unsigned bits) {
  auto bytes = ip.bytes();
  for (unsigned bit = bits; bit < Vip::kAddressBits; ++bit) {
    bytes[bit / 8] &= static_cast<std::uint8_t>(~(0x80U >> (bit % 8)));
  }
  return IpAddress::v6(bytes);
}

Result<Vip> Vip::parse(std::string_view text) {
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos) {
    auto address = SocketAddress::parse(text);
    if (!address) return address.error();
    return Vip(*address);
  }
  const std::size_t end = text.find_first_not_of("0123456789", slash + 1);
  const std::string_view digits = text.substr(slash + 1, end - slash - 1);
  unsigned length = 0;
  const auto read = std::from_chars(digits.begin(), digits.end(), length);
  std::string rest(text.substr(0, slash));
  if (end != std::string_view::npos) rest += text.substr(end);
  const auto first = SocketAddress::parse(rest);
  if (!first) return first.error().in(std::string(text));
  const unsigned most = first->ip.isV4() ? kAddressBits - kV4Offset : kAddressBits;
  if (read.ec != std::errc() || length > most) {
    return Error("'" + std::string(text) + "': a prefix has 0 to " + std::to_string(most) +
                 " bits");
  }
  const unsigned shared = length + (first->ip.isV4() ? kV4Offset : 0);
  return Vip(maskedTo(first->ip, shared), first->port, static_cast<std::uint8_t>(shared));
}

unsigned Vip::prefixLength() const {
  return bits - (ip.isV4() ? kV4Offset : 0);
}

bool Vip::contains(const IpAddress& address) const {
  return ip.isV4() == address.isV4() && maskedTo(address, bits) == ip;
}

bool Vip::contains(const Vip& other) const {
  return port == other.port && bits <= other.bits && contains(other.ip);
}

std::string Vip::hostText() const {
  return isRange() ? ip.toString() + "/" + std::to_string(prefixLength()) : ip.toString();
}

std::string Vip::toString() const {
  const std::string host = hostText();
  return (ip.isV4() ? host : "[" + host + "]") + ":" + std::to_string(port);
}

}  // namespace sockmesh
