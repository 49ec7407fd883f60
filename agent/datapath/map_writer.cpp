// SPDX-License-Identifier: Apache-2.0
#include "datapath/map_writer.h"

#include <set>
#include <utility>

namespace sockmesh {

MapWriter::MapWriter(CountingStore& store, IdRegistry& ids, GracePeriod& grace,
                     std::uint32_t maxServices)
    : store_(store),
      ids_(ids),
      grace_(grace),
      endpoints_(store, ids),
      services_(store, grace, ids, maxServices),
      self_(std::make_shared<MapWriter*>(this)) {}

MapWriter::~MapWriter() {
  *self_ = nullptr;
}

WriteReport MapWriter::adopt(const KernelImage& image) {
  WriteReport report;
  const std::uint64_t before = store_.total();
  ids_.adopt(image);
  services_.adopt(image, report);
  report.writes = store_.total() - before;
  return report;
}

// Ids that the tables of a held service name stay in use, also if their endpoints are gone.
void MapWriter::retireIds(const std::vector<HeldService>& held) {
  auto retired = ids_.takeRetired();
  if (retired.empty()) return;
  if (!held.empty()) {
    std::set<std::uint32_t> named;
    for (const HeldService& one : held) {
      eachOf(*services_.inKernel(one.key), [&](const LbService& service) {
        for (const auto& group : service.groups) {
          const auto ids = ids_.endpointIds(*group);
          named.insert(ids.begin(), ids.end());
        }
      });
    }
    ids_.keepRetired(retired, named);
  }
  grace_.after([self = self_, retired = std::move(retired)] {
    MapWriter* writer = *self;
    if (writer == nullptr) return;
    // What could not be written now stays taken. It is tried again after a restart.
    [[maybe_unused]] const Status released = writer->endpoints_.release(retired);
  });
}

void MapWriter::findHeld(const LbTables& tables, const Unknowns& unknowns,
                         WriteReport& report) const {
  for (const auto& [key, service] : tables.services) {
    auto clusters = clustersToWaitFor(*service, unknowns);
    if (clusters.empty()) continue;
    const auto inKernel = services_.inKernel(key);
    if (!inKernel || !decides(*inKernel)) continue;
    std::erase_if(clusters, [&](const auto& name) { return leavesAlone(*inKernel, name); });
    if (!clusters.empty()) report.held.push_back({service->name, key, std::move(clusters)});
  }
  if (unknowns.listeners.empty() && !unknowns.anyListener) return;
  services_.each([&](const VipKey& key, const LbService& service) {
    if (tables.services.contains(key)) return;
    if (unknowns.mayHave(service.name)) report.held.push_back({service.name, key, {}});
  });
}

// `tables`, with held services as the kernel has them. For the rest of apply() they are unchanged.
std::shared_ptr<const LbTables> MapWriter::withHeld(const std::shared_ptr<const LbTables>& tables,
                                                    const std::vector<HeldService>& held) {
  if (held.empty()) {
    heldClusters_.clear();
    return tables;
  }
  auto merged = std::make_shared<LbTables>(*tables);
  std::set<std::string> waiting, named;
  for (const HeldService& one : held) {
    const auto service = services_.inKernel(one.key);
    merged->services[one.key] = service;
    waiting.insert(one.clusters.begin(), one.clusters.end());
    named.merge(clustersOf(*service));
  }
  std::map<std::string, std::shared_ptr<const LbCluster>> inKernel;
  for (const std::string& name : named) {
    if (!waiting.contains(name) && merged->clusters.contains(name)) continue;
    auto cluster = ids_.listed(name);
    if (!cluster) continue;
    const auto before = heldClusters_.find(name);
    const bool same = before != heldClusters_.end() && *before->second == *cluster;
    inKernel[name] = same ? before->second : std::make_shared<const LbCluster>(*std::move(cluster));
    merged->clusters[name] = inKernel[name];
  }
  heldClusters_ = std::move(inKernel);
  return merged;
}

WriteReport MapWriter::apply(std::shared_ptr<const LbTables> wanted, const Unknowns& unknowns) {
  WriteReport report;
  const std::uint64_t before = store_.total();
  findHeld(*wanted, unknowns, report);
  report.tables = withHeld(wanted, report.held);
  write(*report.tables, report);
  // A service that kept its old tables still names old endpoints. Their ids wait for an apply()
  // without errors.
  if (report.errors.empty()) retireIds(report.held);
  // A cluster that failed must be tried again, and its pointer alone would say "unchanged".
  applied_ = report.errors.empty() ? report.tables : nullptr;
  report.writes = store_.total() - before;
  TableExtents now = services_.extents();
  now.endpoints = ids_.endpointsAfter(0);
  now.clusters = ids_.clustersAfter(0);
  store_.prepare(now);
  return report;
}

void MapWriter::write(const LbTables& tables, WriteReport& report) {
  store_.reserve(extentsWith(tables));
  for (const auto& [name, cluster] : tables.clusters) {
    if (!isApplied(name, cluster)) report.note(endpoints_.update(*cluster));
  }
  // VIPs that are gone leave first, because a new VIP may need their room.
  services_.removeGone(tables, report);
  for (const auto& [key, service] : tables.services) {
    if (auto done = services_.install(key, service, report); !done) {
      report.note(done.error().in("service " + key.vip.toString() + " (" + service->name + ")"));
    }
  }
  for (const std::string& name : ids_.clusters()) {
    if (!tables.clusters.contains(name)) report.note(endpoints_.retire(name));
  }
}

bool MapWriter::makeRoom(const LbTables& tables, std::function<void()> ready) {
  return store_.makeRoom(extentsWith(tables), std::move(ready));
}

bool MapWriter::isApplied(const std::string& name,
                          const std::shared_ptr<const LbCluster>& cluster) const {
  if (!applied_) return false;
  const auto before = applied_->clusters.find(name);
  return before != applied_->clusters.end() && before->second == cluster;
}

TableExtents MapWriter::extentsWith(const LbTables& tables) const {
  std::size_t clusters = 0, endpoints = 0;
  for (const auto& [name, cluster] : tables.clusters) {
    if (isApplied(name, cluster)) continue;
    clusters += ids_.clusterId(name) == SM_NONE ? 1 : 0;
    endpoints += ids_.missing(*cluster);
  }
  TableExtents out = services_.extentsWith(tables);
  if (endpoints > 0) out.endpoints = ids_.endpointsAfter(endpoints);
  if (clusters > 0) out.clusters = ids_.clustersAfter(clusters);
  return out;
}

WriteReport MapWriter::reap() {
  WriteReport report;
  const std::uint64_t before = store_.total();
  report.note(endpoints_.reap());
  report.writes = store_.total() - before;
  return report;
}

}  // namespace sockmesh
