// SPDX-License-Identifier: Apache-2.0
#include "support/tables.h"

#include <array>

#include "lb/cell_table.h"
#include "support/net.h"

namespace sockmesh::test {
namespace {

std::vector<SocketAddress> parseAll(const std::vector<std::string>& texts) {
  std::vector<SocketAddress> addresses;
  for (const std::string& text : texts) addresses.push_back(at(text));
  return addresses;
}

}  // namespace

void TableBuilder::add(const std::string& vip, std::shared_ptr<const LbGroup> group) {
  auto service = std::make_shared<LbService>();
  service->name = "listener-" + vip;
  service->vip = Vip::parse(vip).value();
  service->groups = {std::move(group)};
  tables_.services[{service->vip, Protocol::kTcp}] = service;
}

void TableBuilder::cluster(const std::string& name, const std::vector<SocketAddress>& hosts) {
  auto made = std::make_shared<LbCluster>();
  made->name = name;
  std::vector<LbEndpoint> endpoints(hosts.size());
  for (std::size_t i = 0; i < hosts.size(); ++i) endpoints[i].address = hosts[i];
  made->endpoints = LbEndpoints(endpoints);
  tables_.clusters[name] = made;
}

TableBuilder& TableBuilder::service(const std::string& vip, const std::string& clusterName,
                                    const std::vector<std::string>& endpoints) {
  auto group = std::make_shared<LbGroup>();
  group->cluster = clusterName;
  group->hosts = parseAll(endpoints);
  group->policy = endpoints.empty() ? SM_POLICY_REFUSE : SM_POLICY_ROUND_ROBIN;
  group->reason = endpoints.empty() ? SM_REASON_NO_ENDPOINTS : SM_REASON_NONE;
  if (!endpoints.empty()) {
    auto table = std::make_shared<CellTable>();
    table->size = static_cast<std::uint32_t>(endpoints.size());
    table->cells.resize((endpoints.size() + 3) / 4);
    for (std::uint32_t i = 0; i < table->size; ++i) table->cells[i / 4].words[i % 4] = i;
    group->table = table;
  }
  cluster(clusterName, group->hosts);
  add(vip, group);
  return *this;
}

TableBuilder& TableBuilder::random(const std::string& vip, const std::string& clusterName,
                                   const std::vector<std::string>& endpoints) {
  auto group = std::make_shared<LbGroup>();
  group->cluster = clusterName;
  group->hosts = parseAll(endpoints);
  group->policy = SM_POLICY_RANDOM;
  auto table = std::make_shared<CellTable>();
  for (std::uint32_t i = 0; i < endpoints.size(); ++i) {
    sm_cell cell{};
    cell.alias.threshold = UINT32_MAX;
    cell.alias.here = i;
    cell.alias.other = i;
    table->cells.push_back(cell);
  }
  table->size = static_cast<std::uint32_t>(endpoints.size());
  group->table = table;
  cluster(clusterName, group->hosts);
  add(vip, group);
  return *this;
}

TableBuilder& TableBuilder::ejecting(const std::string& name, std::uint32_t threshold,
                                     std::uint32_t limit, Nanos base, Nanos connectTimeout) {
  auto made = std::make_shared<LbCluster>(*tables_.clusters.at(name));
  made->connectTimeout = connectTimeout;
  made->ejection.consecutive[1] = {threshold, 100, Detector::kConsecutive5xx};
  made->ejection.limit = limit;
  made->ejection.base = base;
  made->ejection.max = 10 * base;
  tables_.clusters[name] = made;
  return *this;
}

TableBuilder& TableBuilder::joined(const std::string& vip, const std::string& other) {
  auto made = std::make_shared<LbService>(*tables_.services.at({at(vip), Protocol::kTcp}));
  const auto second = tables_.services.at({at(other), Protocol::kTcp});
  tables_.services.erase({at(other), Protocol::kTcp});
  made->groups.push_back(second->groups.at(0));
  made->legs = {0, 1};
  made->pickSize = 2;
  made->pick = std::make_shared<const CellTable>(aliasTable(std::array{1.0, 1.0}));
  tables_.services[{made->vip, made->protocol}] = made;
  return *this;
}

TableBuilder& TableBuilder::unreachableOverIpv6(const std::string& vip) {
  auto& service = tables_.services[{at(vip), Protocol::kTcp}];
  auto refusing = std::make_shared<LbService>(*service);
  auto group = std::make_shared<LbGroup>();
  group->cluster = service->groups.at(0)->cluster;
  group->policy = SM_POLICY_REFUSE;
  group->reason = SM_REASON_NO_REACHABLE;
  refusing->groups = {group};
  auto made = std::make_shared<LbService>(*service);
  made->ipv6Only = refusing;
  service = made;
  return *this;
}

TableBuilder& TableBuilder::udp(const std::string& vip) {
  const VipKey tcp{at(vip), Protocol::kTcp};
  auto made = std::make_shared<LbService>(*tables_.services.at(tcp));
  tables_.services.erase(tcp);
  made->protocol = Protocol::kUdp;
  if (made->ipv6Only) {
    auto only = std::make_shared<LbService>(*made->ipv6Only);
    only->protocol = Protocol::kUdp;
    made->ipv6Only = only;
  }
  tables_.services[{made->vip, made->protocol}] = made;
  return *this;
}

TableBuilder& TableBuilder::affine(const std::string& vip, std::uint32_t seconds) {
  auto& service = tables_.services[{Vip::parse(vip).value(), Protocol::kTcp}];
  auto made = std::make_shared<LbService>(*service);
  made->affinitySeconds = seconds;
  service = made;
  return *this;
}

TableBuilder& TableBuilder::leftAlone(const std::string& vip, const std::string& clusterName,
                                      sm_reason reason) {
  auto group = std::make_shared<LbGroup>();
  group->cluster = clusterName;
  group->policy = SM_POLICY_LEAVE_ALONE;
  group->reason = reason;
  if (!clusterName.empty()) cluster(clusterName, {});
  add(vip, group);
  return *this;
}

}  // namespace sockmesh::test
