// SPDX-License-Identifier: Apache-2.0
// The explanation of an address that is no VIP: mostly a wrong port, or an endpoint's own address.
#include <algorithm>
#include <set>

#include "explain.h"
#include "lb/abi_names.h"
#include "lb/service_summary.h"
#include "text.h"

namespace sockmesh::ctl {
namespace {

using Service = std::pair<const VipKey, ImageService>;

std::string protocolOf(const VipKey& key) {
  return std::string(protocolName(static_cast<std::uint32_t>(key.protocol)));
}

std::vector<const Service*> servicesAt(const NodeView& view, const IpAddress& address) {
  std::vector<const Service*> found;
  for (const Service& service : view.image.services) {
    if (service.first.vip.contains(address)) found.push_back(&service);
  }
  return found;
}

std::vector<std::string> clustersWith(const NodeView& view, const SocketAddress& address) {
  std::set<std::string> clusters;
  for (const auto& [id, endpoint] : view.image.endpoints) {
    if (endpoint.endpoint.address == address) clusters.insert(endpoint.cluster);
  }
  return {clusters.begin(), clusters.end()};
}

Json otherPortsJson(const std::vector<const Service*>& services) {
  Json ports = Json::array();
  for (const Service* service : services) {
    ports.push_back({{"port", service->first.vip.port},
                     {"protocol", protocolOf(service->first)},
                     {"service", service->second.service->name},
                     {"state", serviceStateName(summarize(*service->second.service).state)}});
  }
  return ports;
}

Section otherPortsTable(const IpAddress& address, const std::vector<const Service*>& services) {
  if (services.empty()) return {"No service has the address " + address.toString(), {}};
  Table table;
  table.columns = {{"  VIP"}, {"PROTOCOL"}, {"SERVICE"}, {"STATE"}};
  for (const Service* service : services) {
    table.rows.push_back({"  " + service->first.vip.toString(), protocolOf(service->first),
                          service->second.service->name,
                          serviceStateName(summarize(*service->second.service).state)});
  }
  return {"Services at other ports of " + address.toString() + ":", table};
}

}  // namespace

std::string portsOf(const NodeView& view, const IpAddress& address) {
  std::vector<std::string> ports;
  for (const Service* service : servicesAt(view, address)) {
    ports.push_back(std::to_string(service->first.vip.port));
  }
  return join(ports, ", ");
}

Document explainNoService(const NodeView& view, const SocketAddress& address) {
  const auto others = servicesAt(view, address.ip);
  const auto clusters = clustersWith(view, address);
  const std::string verdict = "is not touched: there is no service " + address.toString();
  Document out;
  out.kind = "Explanation";
  out.exitCode = kExitFailure;
  out.data = {{"vip", address.ip.toString()}, {"port", address.port},
              {"service", nullptr},           {"state", "NoService"},
              {"verdict", verdict},           {"otherPorts", otherPortsJson(others)},
              {"endpointOf", clusters}};
  out.sections.push_back({"A connect() to " + address.toString() + " " + verdict, {}});
  if (!clusters.empty()) {
    out.sections.push_back({"It is an endpoint of " + join(clusters, ", ") +
                                ": a connection goes to it directly, and is not counted",
                            {}});
  }
  out.sections.push_back(otherPortsTable(address.ip, others));
  return out;
}

}  // namespace sockmesh::ctl
