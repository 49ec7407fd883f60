// SPDX-License-Identifier: Apache-2.0
#include "config/dns_config.h"

#include <optional>
#include <string>

namespace sockmesh {
namespace {

constexpr std::uint16_t kDnsPort = 53;

std::optional<SocketAddress> serverOf(const std::string& text) {
  if (const auto ip = IpAddress::parse(text)) return SocketAddress{*ip, kDnsPort};
  const auto address = SocketAddress::parse(text);
  if (!address || address->port == 0) return std::nullopt;
  return *address;
}

}  // namespace

DnsOptions decodeDnsOptions(const sockmesh::config::v1::AgentConfig& proto, FieldErrors& errors) {
  const FieldErrors::Scope scope(errors, "dns");
  DnsOptions options;
  options.frontends = proto.dns().frontends();
  for (int i = 0; i < proto.dns().servers_size(); ++i) {
    const FieldErrors::Scope item(errors, "servers", static_cast<std::size_t>(i));
    const std::string& text = proto.dns().servers(i);
    const auto server = serverOf(text);
    if (server && !server->ip.isUnspecified()) {
      options.servers.push_back(*server);
    } else {
      errors.add("\"" + text + "\" is neither IP nor IP:PORT of a DNS server");
    }
  }
  return options;
}

}  // namespace sockmesh
