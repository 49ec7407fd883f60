// The tables that selection reads: frontends to cells.
#include <algorithm>
#include <bit>
#include <set>
#include <vector>

#include "datapath/codec.h"
#include "lb/abi_names.h"
#include "map_dump.h"

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

class CellDump {
 public:
  void pick(const VipKey& key, const ImageService& service) {
    const sm_descriptor& d = service.descriptor;
    if (!service.service->pick || !first(d.pick_cell)) return;
    alias("pick of " + key.vip.toString(), d.pick_cell, service.service->pick->cells);
  }

  void group(std::uint32_t index, const sm_group& raw, const LbGroup& group) {
    const std::string where = "group " + std::to_string(index);
    if (group.table && first(raw.table_cell)) table(where, raw, *group.table);
    if (raw.host_count == 0 || !first(raw.host_cell)) return;
    for (std::uint32_t i = 0; i < group.hosts.size(); ++i) {
      add(raw.host_cell + i / 4, "hosts of " + where, i, group.hosts[i].toString());
    }
  }

  Json take() { return std::move(rows_); }

 private:
  bool first(std::uint32_t cell) { return seen_.insert(cell).second; }

  void add(std::uint32_t cell, const std::string& use, std::uint64_t index,
           const std::string& value) {
    rows_.push_back({{"cell", cell}, {"use", use}, {"index", index}, {"value", value}});
  }

  void alias(const std::string& use, std::uint32_t cell, const std::vector<sm_cell>& cells) {
    for (std::uint32_t i = 0; i < cells.size(); ++i) {
      const auto& entry = cells[i].alias;
      std::string text = std::to_string(entry.here);
      if (entry.threshold != UINT32_MAX) {
        text +=
            " below " + std::to_string(entry.threshold) + ", else " + std::to_string(entry.other);
      }
      if (entry.inverse_q16 != 0) text += ", load x " + Json(entry.inverse_q16 / 65536.0).dump();
      add(cell + i, use, i, text);
    }
  }

  void words(const std::string& use, std::uint32_t cell, const std::vector<sm_cell>& cells,
             std::uint32_t from, std::uint64_t count) {
    for (std::uint64_t i = 0; i < count && from + i / 4 < cells.size(); ++i) {
      add(static_cast<std::uint32_t>(cell + from + i / 4), use, i,
          std::to_string(cells[from + i / 4].words[i % 4]));
    }
  }

  void ring(const std::string& where, const sm_group& raw, const std::vector<sm_cell>& cells) {
    const std::uint64_t buckets = 1ULL << (64 - raw.ring_shift);
    const auto first = static_cast<std::uint32_t>((buckets + 3) / 4);
    words("ring buckets of " + where, raw.table_cell, cells, 0, buckets);
    const std::uint64_t end = std::min<std::uint64_t>(first + raw.table_size, cells.size());
    for (std::uint32_t i = first; i < end; ++i) {
      add(raw.table_cell + i, "ring of " + where, i - first,
          std::to_string(cells[i].ring.hash) + " host " + std::to_string(cells[i].ring.host));
    }
  }

  // Of bounded load: behind the policy's own table.
  void balance(const std::string& where, const sm_group& raw, const std::vector<sm_cell>& cells) {
    if (raw.balance_percent == 0) return;
    const std::uint32_t count = (raw.host_count + 1) / 2;
    if (cells.size() < count) return;
    const auto first = static_cast<std::uint32_t>(cells.size() - count);
    for (std::uint32_t i = 0; i < raw.host_count; ++i) {
      const std::uint32_t at = first + i / 2;
      add(raw.table_cell + at, "share of load of " + where, i,
          Json(std::bit_cast<double>(cells[at].weight_bits[i % 2])).dump());
    }
  }

  void table(const std::string& where, const sm_group& raw, const CellTable& table) {
    switch (raw.policy) {
      case SM_POLICY_RANDOM:
      case SM_POLICY_LEAST_REQUEST:
        return alias("hosts' weights of " + where, raw.table_cell, table.cells);
      case SM_POLICY_RING_HASH:
        ring(where, raw, table.cells);
        return balance(where, raw, table.cells);
      case SM_POLICY_MAGLEV:
        words("table of " + where, raw.table_cell, table.cells, 0, table.size);
        return balance(where, raw, table.cells);
      default:
        return words("table of " + where, raw.table_cell, table.cells, 0, table.size);
    }
  }

  std::set<std::uint32_t> seen_;
  Json rows_ = Json::array();
};

}  // namespace

Json dumpFrontends(const NodeView& view, bool v4) {
  Json rows = Json::array();
  for (const auto& [key, service] : view.image.services) {
    if (key.vip.ip.isV4() != v4) continue;
    rows.push_back({{"address", key.vip.ip.toString()},
                    {"port", key.vip.port},
                    {"protocol", protocolOf(key)},
                    {"serviceId", service.id},
                    {"service", service.service->name}});
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
                    {"address", decodeAddress(d.addr_be).toString()},
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
    rows.push_back(
        {{"group", index},
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
         {"cursor", group->policy == SM_POLICY_ROUND_ROBIN ? group->cursor : 0},
         {"loadFloor",
          group->policy == SM_POLICY_LEAST_REQUEST ? SM_LR_FLOOR(group->cursor) / 16.0 : 0},
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
