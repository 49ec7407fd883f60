// SPDX-License-Identifier: Apache-2.0
#include "model/address.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstring>

namespace sockmesh {
namespace {

constexpr std::array<std::uint8_t, 12> kV4Prefix = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

Result<std::uint16_t> parsePort(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (text.empty() || status != std::errc() || end != text.data() + text.size()) {
    return Error("\"" + std::string(text) + "\" is not a port");
  }
  return port;
}

}  // namespace

Result<IpAddress> IpAddress::parse(std::string_view text) {
  const std::string terminated(text);
  std::array<std::uint8_t, 4> four{};
  if (inet_pton(AF_INET, terminated.c_str(), four.data()) == 1) return v4(four);
  IpAddress six;
  if (inet_pton(AF_INET6, terminated.c_str(), six.bytes_.data()) == 1) return six;
  return Error("\"" + terminated + "\" is not an IP address");
}

IpAddress IpAddress::v4(const std::array<std::uint8_t, 4>& bytes) {
  IpAddress ip;
  std::copy(kV4Prefix.begin(), kV4Prefix.end(), ip.bytes_.begin());
  std::copy(bytes.begin(), bytes.end(), ip.bytes_.begin() + kV4Prefix.size());
  return ip;
}

IpAddress IpAddress::v6(const std::array<std::uint8_t, 16>& bytes) {
  IpAddress ip;
  ip.bytes_ = bytes;
  return ip;
}

bool IpAddress::isV4() const {
  return std::equal(kV4Prefix.begin(), kV4Prefix.end(), bytes_.begin());
}

bool IpAddress::isUnspecified() const {
  const auto from = bytes_.begin() + (isV4() ? kV4Prefix.size() : 0);
  return std::all_of(from, bytes_.end(), [](std::uint8_t byte) { return byte == 0; });
}

std::string IpAddress::toString() const {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (isV4()) {
    inet_ntop(AF_INET, bytes_.data() + kV4Prefix.size(), text.data(), text.size());
  } else {
    inet_ntop(AF_INET6, bytes_.data(), text.data(), text.size());
  }
  return text.data();
}

Result<SocketAddress> SocketAddress::parse(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) {
    return Error("\"" + std::string(text) + "\" is not ADDRESS:PORT");
  }
  std::string_view host = text.substr(0, colon);
  const bool bracketed = host.size() >= 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  if (!bracketed && host.find(':') != std::string_view::npos) {
    return Error("\"" + std::string(text) + "\": an IPv6 address needs brackets");
  }
  const auto ip = IpAddress::parse(host);
  if (!ip) return ip.error();
  const auto port = parsePort(text.substr(colon + 1));
  if (!port) return port.error();
  return SocketAddress{*ip, *port};
}

std::string SocketAddress::toString() const {
  const std::string number = std::to_string(port);
  return ip.isV4() ? ip.toString() + ":" + number : "[" + ip.toString() + "]:" + number;
}

}  // namespace sockmesh
