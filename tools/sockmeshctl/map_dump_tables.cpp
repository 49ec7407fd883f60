// SPDX-License-Identifier: Apache-2.0
// The tables that selection reads: frontends to cells.
#include <set>
#include <vector>

#include "lb/abi_names.h"
#include "lb/cell_text.h"
#include "lb/policy/policy.h"
#include "map_dump.h"
#include "maps/codec.h"
#include "maps/frontend_filter.h"

namespace sockmesh::ctl {
namespace {

Json flagNames(std::uint32_t flags,
               const std::vector<std::pair<std::uint32_t, const char*>>& names) {
  Json out = Json::array();
  for (const auto& [bit, name] : names) {
    if ((flags & bit) != 0) out.push_back(name);
  }
  return out;
}

std::string nameOf(const std::map<std::uint32_t, std::string>& names, std::uint32_t id) {
  const auto found = names.find(id);
  return found == names.end() ? "" : found->second;
}

std::string protocolOf(const VipKey& key) {
  return std::string(protocolName(static_cast<std::uint32_t>(key.protocol)));
}

Vip vipOf(const sm_descriptor& d) {
  const auto bits = d.range_bits == 0 ? Vip::kAddressBits : static_cast<std::uint8_t>(d.range_bits);
  return {decodeAddress(d.addr_be), decodePort(d.port_be), bits};
}

class CellDump {
 public:
  void pick(const VipKey& key, const ImageService& service) {
    const sm_descriptor& d = service.descriptor;
    if (!service.service->pick || !first(d.pick_cell)) return;
    describeAlias("pick", service.service->pick->cells, uses(d.pick_cell, key.vip.toString()));
  }

  void group(std::uint32_t index, const sm_group& raw, const LbGroup& group) {
    const std::string of = "group " + std::to_string(index);
    if (group.table && first(raw.table_cell)) {
      policyOf(group.policy).describeCells(group, uses(raw.table_cell, of));
    }
    if (raw.host_count == 0 || !first(raw.host_cell)) return;
    const CellVisitor add = uses(raw.host_cell, of);
    for (std::uint32_t i = 0; i < group.hosts.size(); ++i) {
      add({.cell = i / 4, .use = "hosts", .index = i, .value = group.hosts[i].toString()});
    }
  }

  Json take() { return std::move(rows_); }

 private:
  bool first(std::uint32_t cell) { return seen_.insert(cell).second; }

  // Adds the cells of a table that starts at `from`: "ring of group 3".
  CellVisitor uses(std::uint32_t from, const std::string& of) {
    return [this, from, of](const CellUse& use) {
      rows_.push_back({{"cell", from + use.cell},
                       {"use", std::string(use.use) + " of " + of},
                       {"index", use.index},
                       {"value", use.value}});
    };
  }

  std::set<std::uint32_t> seen_;
  Json rows_ = Json::array();
};

}  // namespace

Json dumpFrontends(const NodeView& view, bool v4) {
  Json rows = Json::array();
  for (const auto& [key, service] : view.image.services) {
    if (key.vip.isRange() || key.vip.ip.isV4() != v4) continue;
    rows.push_back({{"address", key.vip.ip.toString()},
                    {"port", key.vip.port},
                    {"protocol", protocolOf(key)},
                    {"serviceId", service.id},
                    {"service", service.service->name}});
  }
  return rows;
}

Json dumpRanges(const NodeView& view) {
  Json rows = Json::array();
  for (const auto& [key, service] : view.image.services) {
    if (!key.vip.isRange()) continue;
    rows.push_back({{"range", key.vip.hostText()},
                    {"port", key.vip.port},
                    {"protocol", protocolOf(key)},
                    {"serviceId", service.id},
                    {"service", service.service->name}});
  }
  return rows;
}

Json dumpFrontendFilter(const NodeView& view) {
  Json rows = Json::array();
  for (const auto& [key, service] : view.image.services) {
    if (key.vip.isRange()) continue;
    const FilterPlace at = filterPlace(key);
    const bool set =
        at.word < view.frontendFilter.size() && (view.frontendFilter[at.word] >> at.bit & 1) != 0;
    rows.push_back({{"address", key.vip.ip.toString()},
                    {"port", key.vip.port},
                    {"protocol", protocolOf(key)},
                    {"word", at.word},
                    {"bit", at.bit},
                    {"set", set}});
  }
  return rows;
}

Json dumpHeads(const NodeView& view) {
  Json rows = Json::array();
  std::map<std::uint32_t, const ImageService*> byId;
  for (const auto& [key, service] : view.image.services) byId[service.id] = &service;
  for (const auto& [id, service] : byId) {
    rows.push_back({{"serviceId", id},
                    {"service", service->service->name},
                    {"descriptor", service->descriptorIndex}});
  }
  return rows;
}

Json dumpDescriptors(const NodeView& view) {
  Json rows = Json::array();
  const auto add = [&rows](const ImageService& service) {
    const sm_descriptor& d = service.descriptor;
    rows.push_back({{"descriptor", service.descriptorIndex},
                    {"address", vipOf(d).hostText()},
                    {"port", decodePort(d.port_be)},
                    {"protocol", std::string(protocolName(d.protocol))},
                    {"serviceId", d.service_id},
                    {"groupFirst", d.group_first},
                    {"groupCount", d.group_count},
                    {"pickCell", d.pick_cell},
                    {"pickSize", d.pick_size},
                    {"affinitySeconds", d.affinity_s},
                    {"ipv4Only", d.ipv4_only},
                    {"ipv6Only", d.ipv6_only},
                    {"flags", flagNames(d.flags, {{SM_DESCRIPTOR_HASH_SOURCE, "HASH_SOURCE"},
                                                  {SM_DESCRIPTOR_NEEDS_L7, "NEEDS_L7"},
                                                  {SM_DESCRIPTOR_AUTO_TLS, "AUTO_TLS"}})}});
  };
  for (const auto& [key, service] : view.image.services) {
    for (const ImageService* one : withOthers(service)) add(*one);
  }
  return rows;
}

Json dumpGroups(const NodeView& view) {
  std::map<std::uint32_t, const sm_group*> groups;  // services may share a range
  for (const auto& [key, service] : view.image.services) {
    for (const ImageService* one : withOthers(service)) {
      for (std::uint32_t i = 0; i < one->groups.size(); ++i) {
        groups[one->descriptor.group_first + i] = &one->groups[i];
      }
    }
  }
  Json rows = Json::array();
  for (const auto& [index, group] : groups) {
    const GroupCursor cursor = policyOf(group->policy).readCursor(group->cursor);
    rows.push_back({{"group", index},
                    {"policy", policyName(group->policy)},
                    {"reason", reasonWord(group->reason).name},
                    {"clusterId", group->cluster_id},
                    {"cluster", nameOf(view.image.clusterNames, group->cluster_id)},
                    {"locality", nameOf(view.image.localityNames, group->locality_id)},
                    {"priority", group->priority},
                    {"leg", group->leg},
                    {"hostCell", group->host_cell},
                    {"hostCount", group->host_count},
                    {"tableCell", group->table_cell},
                    {"tableSize", group->table_size},
                    {"choiceCount", group->choice_count},
                    {"activeRequestBias", group->bias_q16 / 65536.0},
                    {"balancePercent", group->balance_percent},
                    {"ringShift", group->ring_shift},
                    {"cursor", cursor.next},
                    {"loadFloor", cursor.loadFloor},
                    {"flags", flagNames(group->flags, {{SM_GROUP_WEIGHTED, "WEIGHTED"},
                                                       {SM_GROUP_FULL_SCAN, "FULL_SCAN"},
                                                       {SM_GROUP_PANIC, "PANIC"},
                                                       {SM_GROUP_DEGRADED, "DEGRADED"},
                                                       {SM_GROUP_NO_PANIC, "NO_PANIC"}})}});
  }
  return rows;
}

Json dumpCells(const NodeView& view) {
  CellDump dump;
  for (const auto& [key, service] : view.image.services) {
    for (const ImageService* one : withOthers(service)) {
      dump.pick(key, *one);
      for (std::uint32_t i = 0; i < one->groups.size(); ++i) {
        dump.group(one->descriptor.group_first + i, one->groups[i], *one->service->groups[i]);
      }
    }
  }
  return dump.take();
}

}  // namespace sockmesh::ctl
