// SPDX-License-Identifier: Apache-2.0
#include "config/udp_services_config.h"

#include <set>
#include <utility>

namespace sockmesh {
namespace {

UdpService decode(const sockmesh::config::v1::UdpService& proto, std::set<SocketAddress>& seen,
                  FieldErrors& errors) {
  UdpService service;
  service.cluster = proto.cluster();
  if (service.cluster.empty()) errors.add("cluster", "the name of a cluster is needed");
  const std::uint32_t port = proto.port().value();
  if (proto.has_port() && (port == 0 || port > UINT16_MAX)) {
    errors.add("port", "must be between 1 and 65535");
  } else if (proto.has_port()) {
    service.port = static_cast<std::uint16_t>(port);
  }
  if (const auto vip = SocketAddress::parse(proto.vip()); !vip) {
    errors.add("vip", vip.error().message());
  } else if (vip->ip.isUnspecified() || vip->port == 0) {
    errors.add("vip", proto.vip() + " is not the address of a service");
  } else if (!seen.insert(*vip).second) {
    errors.add("vip", proto.vip() + " is named twice");
  } else {
    service.vip = *vip;
  }
  return service;
}

}  // namespace

std::vector<UdpService> decodeUdpServices(const sockmesh::config::v1::AgentConfig& proto,
                                          FieldErrors& errors) {
  std::vector<UdpService> services;
  std::set<SocketAddress> seen;
  for (int i = 0; i < proto.udp_services_size(); ++i) {
    const FieldErrors::Scope item(errors, "udp_services", static_cast<std::size_t>(i));
    services.push_back(decode(proto.udp_services(i), seen, errors));
  }
  return services;
}

}  // namespace sockmesh
