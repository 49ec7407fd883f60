// SPDX-License-Identifier: Apache-2.0
// The tables against what the kernel holds.
#include <algorithm>
#include <map>

#include "inspect/drift.h"
#include "inspect/drift_list.h"
#include "lb/abi_names.h"
#include "lb/cell_table.h"
#include "maps/codec.h"
#include "maps/frontend_filter.h"

namespace sockmesh {
namespace {

std::string hostsText(const LbGroup& group) {
  std::string out;
  for (std::size_t i = 0; i < group.hosts.size(); ++i) {
    out += (out.empty() ? "" : ", ") + group.hosts[i].toString();
    if (const auto other = group.otherOf(i)) out += " or " + other->toString();
  }
  return out.empty() ? "none" : out;
}

std::string cellsText(const std::shared_ptr<const CellTable>& table) {
  return table ? std::to_string(table->size) + " entries" : "none";
}

// Tables of one length that differ are only said to differ: nobody reads cells.
void compareCells(const std::string& field, const std::shared_ptr<const CellTable>& wanted,
                  const std::shared_ptr<const CellTable>& found, DriftList& list) {
  if (sameContent(wanted, found)) return;
  const std::string there = cellsText(found);
  list.note(field, cellsText(wanted),
            there == cellsText(wanted) ? there + " with other content" : there);
}

void compareGroups(const std::string& field, const LbGroup& wanted, const LbGroup& found,
                   DriftList& list) {
  list.compare(field + ".cluster", *wanted.cluster, *found.cluster);
  list.compare(field + ".policy", std::string(policyName(wanted.policy)),
               std::string(policyName(found.policy)));
  list.compare(field + ".reason", std::string(reasonWord(wanted.reason).name),
               std::string(reasonWord(found.reason).name));
  list.compare(field + ".flags", wanted.flags, found.flags);
  list.compare(field + ".priority", wanted.priority, found.priority);
  list.compare(field + ".locality", wanted.locality->toString(), found.locality->toString());
  list.compare(field + ".hosts", hostsText(wanted), hostsText(found));
  list.compare(field + ".choiceCount", wanted.choiceCount, found.choiceCount);
  list.compare(field + ".bias", wanted.biasQ16, found.biasQ16);
  list.compare(field + ".balancePercent", wanted.balancePercent, found.balancePercent);
  list.compare(field + ".ringShift", wanted.ringShift, found.ringShift);
  compareCells(field + ".table", wanted.table, found.table, list);
}

void compareServices(const std::string& prefix, const LbService& wanted, const LbService& found,
                     DriftList& list);

void compareOnly(const std::string& field, const std::shared_ptr<const LbService>& wanted,
                 const std::shared_ptr<const LbService>& found, DriftList& list) {
  if (wanted && found) return compareServices(field + ".", *wanted, *found, list);
  list.compare(field, std::string(wanted ? "there" : "not there"),
               std::string(found ? "there" : "not there"));
}

void compareServices(const std::string& prefix, const LbService& wanted, const LbService& found,
                     DriftList& list) {
  list.compare(prefix + "name", wanted.name, found.name);
  list.compare(prefix + "flags", wanted.flags, found.flags);
  list.compare(prefix + "affinitySeconds", wanted.affinitySeconds, found.affinitySeconds);
  list.compare(prefix + "groups", wanted.groups.size(), found.groups.size());
  list.compare(prefix + "pickSize", wanted.pickSize, found.pickSize);
  compareCells(prefix + "pick", wanted.pick, found.pick, list);
  for (std::size_t i = 0; i < wanted.groups.size() && i < found.groups.size(); ++i) {
    const std::string field = prefix + "groups[" + std::to_string(i) + "]";
    compareGroups(field, *wanted.groups[i], *found.groups[i], list);
    list.compare(field + ".leg", wanted.legOf(i), found.legOf(i));
  }
  compareOnly(prefix + "ipv4Only", wanted.ipv4Only, found.ipv4Only, list);
  compareOnly(prefix + "ipv6Only", wanted.ipv6Only, found.ipv6Only, list);
}

// A range needs every bit.
bool isInFilter(const VipKey& key, std::span<const std::uint64_t> filter) {
  if (key.vip.isRange()) {
    return std::ranges::all_of(filter,
                               [](std::uint64_t word) { return word == ~std::uint64_t{0}; });
  }
  const FilterPlace place = filterPlace(key);
  return place.word < filter.size() && ((filter[place.word] >> place.bit) & 1) != 0;
}

std::map<VipKey, std::string> brokenOnes(const KernelImage& image) {
  std::map<VipKey, std::string> broken;
  for (std::size_t i = 0; i < image.brokenFrontends.size() && i < image.broken.size(); ++i) {
    broken.emplace(image.brokenFrontends[i], image.broken[i]);
  }
  return broken;
}

void compareAllServices(const LbTables& aim, const KernelImage& image,
                        std::span<const std::uint64_t> filter, DriftList& list) {
  const auto broken = brokenOnes(image);
  for (const auto& [key, wanted] : aim.services) {
    list.about("Service", driftName(key));
    const auto found = image.services.find(key);
    if (found != image.services.end()) {
      // Equality first: it is what nearly all services are.
      const LbService& there = *found->second.service;
      if (!(*wanted == there)) compareServices("", *wanted, there, list);
      if (!isInFilter(key, filter)) list.note("filter", "set", "not set: the VIP is not found");
    } else if (const auto bad = broken.find(key); bad != broken.end()) {
      list.note("", "there", "broken: " + bad->second);
    } else {
      list.missing();
    }
  }
  for (const auto& [key, service] : image.services) {
    if (aim.services.contains(key)) continue;
    list.about("Service", driftName(key));
    list.unexpected();
  }
  for (const auto& [key, why] : broken) {
    if (aim.services.contains(key)) continue;
    list.about("Service", driftName(key));
    list.note("", "not there", "broken: " + why);
  }
}

// What the kernel lists of each named cluster.
std::map<std::string, LbCluster> clustersOf(const KernelImage& image) {
  std::map<std::string, LbCluster> clusters;
  for (const auto& [id, name] : image.clusterNames) {
    LbCluster& cluster = clusters[name];
    cluster.name = name;
    const auto state = image.clusterStates.find(id);
    if (state == image.clusterStates.end()) continue;
    cluster.connectTimeout = Nanos(state->second.connect_timeout_ns);
    cluster.ejection = decodeEjectionRules(state->second);
  }
  std::map<std::string, std::vector<LbEndpoint>> listed;
  for (const auto& [id, one] : image.endpoints) {
    if (!one.withdrawn && clusters.contains(one.cluster)) {
      listed[one.cluster].push_back(one.endpoint);
    }
  }
  for (const auto& [name, endpoints] : listed) clusters[name].endpoints = LbEndpoints(endpoints);
  return clusters;
}

// A cluster that left the tables keeps its name until its last endpoint is gone.
void compareAllClusters(const LbTables& aim, const KernelImage& image, DriftList& list) {
  const auto there = clustersOf(image);
  for (const auto& [name, wanted] : aim.clusters) {
    const auto found = there.find(name);
    if (found != there.end()) {
      compareClusters(*wanted, found->second, list);
    } else {
      list.about("Cluster", name);
      list.missing();
    }
  }
  for (const auto& [name, cluster] : there) {
    if (aim.clusters.contains(name) || cluster.endpoints.empty()) continue;
    list.about("Cluster", name);
    list.unexpected();
  }
}

}  // namespace

std::vector<Drift> driftInKernel(const LbTables& aim, const KernelImage& image,
                                 std::span<const std::uint64_t> filter) {
  DriftList list(Drift::Between::kTablesAndKernel);
  compareAllServices(aim, image, filter, list);
  compareAllClusters(aim, image, list);
  return list.take();
}

}  // namespace sockmesh
