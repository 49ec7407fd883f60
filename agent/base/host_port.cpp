// SPDX-License-Identifier: Apache-2.0
#include "base/host_port.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>

namespace sockmesh {
namespace {

Error notHostPort(std::string_view text, const std::string& why) {
  return Error("\"" + std::string(text) + "\" is not HOST:PORT" + why);
}

Error isUrl(std::string_view text, std::size_t scheme) {
  const std::string_view rest = text.substr(scheme + 3);
  const std::string_view host = rest.substr(0, rest.find('/'));
  const std::string url = "\"" + std::string(text) + "\" is a URL, HOST:PORT is wanted";
  if (host.empty()) return Error(url);
  return Error(url + ": write \"" + std::string(host) + "\"");
}

bool isName(std::string_view host) {
  return !host.empty() && std::ranges::all_of(host, [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '.' || c == '_';
  });
}

bool isIpv6(std::string_view host) {
  // A zone is the system's to know.
  const std::string address(host.substr(0, host.find('%')));
  std::array<unsigned char, 16> bytes{};
  return inet_pton(AF_INET6, address.c_str(), bytes.data()) == 1;
}

}  // namespace

Result<HostPort> parseHostPort(std::string_view text, LowestPort lowest) {
  const std::size_t scheme = text.find("://");
  if (scheme != std::string_view::npos) return isUrl(text, scheme);
  if (isIpv6(text)) {
    return notHostPort(
        text, ": an IPv6 address stands in brackets, \"[" + std::string(text) + "]:PORT\"");
  }
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return notHostPort(text, ": it has no port");
  const std::string_view port = text.substr(colon + 1);
  unsigned number = 0;
  const auto [stop, error] = std::from_chars(port.data(), port.data() + port.size(), number);
  const bool whole = !port.empty() && stop == port.data() + port.size() && error == std::errc();
  const auto least = static_cast<unsigned>(lowest);
  if (!whole || number < least || number > 65535) {
    return notHostPort(text, ": the port is a number from " + std::to_string(least) + " to 65535");
  }
  std::string_view host = text.substr(0, colon);
  const bool bracketed = host.starts_with('[') && host.ends_with(']') && host.size() > 2;
  if (bracketed) host = host.substr(1, host.size() - 2);
  if (bracketed ? !isIpv6(host) : !isName(host)) {
    return notHostPort(text,
                       ": the host is a name, an IPv4 address or an IPv6 address in brackets");
  }
  return HostPort{std::string(host), static_cast<std::uint16_t>(number)};
}

}  // namespace sockmesh
