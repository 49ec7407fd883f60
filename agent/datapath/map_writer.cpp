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
  // An agent that comes next, before they are freed, must not take them for endpoints of a cluster
  // that got the id of theirs.
  for (const std::uint32_t id : ids_.orphans()) {
    const auto withdrawn = store_.withdraw(id);
    if (!withdrawn) report.note(withdrawn.error());
  }
  services_.adopt(image, report);
  report.writes = store_.total() - before;
  return report;
}

// Takes in tables, and what they change.
void MapWriter::note(const std::shared_ptr<const LbTables>& tables) {
  if (tables == wanted_) return;
  const bool successor = wanted_ != nullptr && tables->before == wanted_.get();
  wanted_ = tables;
  successor ? noted_.merge(tables->changed) : lookAtAll();
}

// All that there is, in the tables, in the kernel or in what it was to be brought to.
void MapWriter::lookAtAll() {
  for (const auto& [key, service] : wanted_->services) noted_.services.insert(key);
  for (const auto& [key, service] : aim_->services) noted_.services.insert(key);
  services_.each([this](const VipKey& key, const LbService&) { noted_.services.insert(key); });
  for (const auto& [name, cluster] : wanted_->clusters) noted_.clusters.insert(name);
  noted_.clusters.merge(ids_.clusters());
}

// Whether the service is to stay as the kernel has it. Either argument may be null.
std::optional<HeldService> MapWriter::heldOf(const VipKey& key, const LbService* wanted,
                                             const LbService* inKernel) const {
  if (inKernel == nullptr) return std::nullopt;
  if (wanted == nullptr) {
    const bool held = unknowns_.mayHave(inKernel->name);
    return held ? std::optional(HeldService{inKernel->name, key, {}}) : std::nullopt;
  }
  auto clusters = clustersToWaitFor(*wanted, unknowns_);
  if (clusters.empty() || !decides(*inKernel)) return std::nullopt;
  std::erase_if(clusters, [&](const auto& name) { return leavesAlone(*inKernel, name); });
  if (clusters.empty()) return std::nullopt;
  return HeldService{wanted->name, key, std::move(clusters)};
}

// What the VIP is brought to; null: it goes.
std::shared_ptr<const LbService> MapWriter::aimOf(const VipKey& key) {
  const auto found = wanted_->services.find(key);
  const auto wanted = found == wanted_->services.end() ? nullptr : found->second;
  const auto inKernel = services_.inKernel(key);
  const auto held = heldOf(key, wanted.get(), inKernel.get());
  if (!held) {
    held_.release(key);
    return wanted;
  }
  held_.hold(*held, *inKernel);
  return inKernel;
}

// Clusters of held services stay as the kernel has them, too: those that are awaited, and those
// that nothing else leads to.
std::shared_ptr<const LbCluster> MapWriter::aimOf(const std::string& cluster) const {
  const auto found = wanted_->clusters.find(cluster);
  const auto wanted = found == wanted_->clusters.end() ? nullptr : found->second;
  if (!held_.leadsTo(cluster) || (wanted && !held_.waitsFor(cluster))) return wanted;
  auto listed = ids_.listed(cluster);
  if (!listed) return wanted;
  const auto before = aim_->clusters.find(cluster);
  if (before != aim_->clusters.end() && *before->second == *listed) return before->second;
  return std::make_shared<const LbCluster>(*std::move(listed));
}

// Brings `aim_` to what was noted.
void MapWriter::aim(const Unknowns& unknowns, Breather& breathe) {
  if (unknowns != unknowns_) {
    unknowns_ = unknowns;
    lookAtAll();
  }
  const auto differs = [](const auto& map, const auto& key, const auto& value) {
    const auto known = map.find(key);
    return known == map.end() ? value != nullptr : known->second != value;
  };
  const auto put = [](auto& map, const auto& key, const auto& value) {
    value ? void(map[key] = value) : void(map.erase(key));
  };
  auto next = std::make_shared<LbTables>();
  next->services = aim_->services;
  next->clusters = aim_->clusters;
  next->conflicts = wanted_->conflicts;
  next->before = aim_.get();
  for (const VipKey& key : noted_.services) {
    breathe();
    const auto service = aimOf(key);
    if (!differs(next->services, key, service)) continue;
    put(next->services, key, service);
    next->changed.services.insert(key);
  }
  noted_.clusters.merge(held_.takeTouched());
  for (const std::string& name : noted_.clusters) {
    breathe();
    const auto cluster = aimOf(name);
    if (!differs(next->clusters, name, cluster)) continue;
    put(next->clusters, name, cluster);
    next->changed.clusters.insert(name);
  }
  due_.merge(next->changed);
  // At first the kernel may differ in anything.
  if (std::exchange(first_, false)) due_.merge(noted_);
  noted_ = {};
  aim_ = std::move(next);
}

WriteReport MapWriter::apply(const std::shared_ptr<const LbTables>& tables,
                             const Unknowns& unknowns) {
  Breather never;
  return apply(tables, unknowns, never);
}

WriteReport MapWriter::apply(const std::shared_ptr<const LbTables>& tables,
                             const Unknowns& unknowns, Breather& breathe) {
  WriteReport report;
  const std::uint64_t before = store_.total();
  note(tables);
  aim(unknowns, breathe);
  write(report, breathe);
  report.held = held_.summary();
  report.tables = aim_;
  report.writes = store_.total() - before;
  TableExtents now = services_.extents();
  now.endpoints = ids_.endpointsAfter(0);
  now.clusters = ids_.clustersAfter(0);
  store_.prepare(now);
  return report;
}

// VIPs that are gone leave before others come, because a new VIP may need their room.
void MapWriter::write(WriteReport& report, Breather& breathe) {
  store_.reserve(extentsWith(*aim_, due_, breathe));
  writeClusters(report, breathe);
  writeServices(report, breathe);
  retireClusters(report, breathe);
  retireIds(breathe);
}

// What fails stays due.
void MapWriter::writeClusters(WriteReport& report, Breather& breathe) {
  std::erase_if(due_.clusters, [&](const std::string& name) {
    breathe();
    const auto cluster = aim_->clusters.find(name);
    if (cluster == aim_->clusters.end()) return false;
    const Status done = endpoints_.update(*cluster->second, breathe);
    report.note(done);
    return done.ok();
  });
}

void MapWriter::writeServices(WriteReport& report, Breather& breathe) {
  std::erase_if(due_.services, [&](const VipKey& key) {
    breathe();
    if (aim_->services.contains(key)) return false;
    const Status done = services_.remove(key, report);
    report.note(done);
    return done.ok();
  });
  std::erase_if(due_.services, [&](const VipKey& key) {
    breathe();
    const auto service = aim_->services.find(key);
    if (service == aim_->services.end()) return false;
    const Status done = services_.install(key, service->second, report, breathe);
    if (done) return true;
    report.note(
        done.error().in("service " + key.vip.toString() + " (" + service->second->name + ")"));
    return false;
  });
}

void MapWriter::retireClusters(WriteReport& report, Breather& breathe) {
  std::erase_if(due_.clusters, [&](const std::string& name) {
    if (aim_->clusters.contains(name)) return false;
    const Status done = endpoints_.retire(name, breathe);
    report.note(done);
    return done.ok();
  });
}

// What the services name that are not as the tables say: they are held, or could not be written.
MapWriter::NamedIds MapWriter::namedByOldServices(Breather& breathe) const {
  NamedIds named;
  const auto add = [&](const VipKey& key) {
    const auto inKernel = services_.inKernel(key);
    if (!inKernel) return;
    eachOf(*inKernel, [&](const LbService& service) {
      for (const auto& group : service.groups) {
        const auto ids = ids_.endpointIds(*group, breathe);
        named.endpoints.insert(ids.begin(), ids.end());
        named.clusters.insert(ids_.clusterId(group->cluster));
      }
    });
  };
  for (const auto& [key, held] : held_.all()) add(key);
  for (const VipKey& key : due_.services) add(key);
  return named;
}

// Ids that the tables of an old service name stay in use, also if their endpoints are gone.
void MapWriter::retireIds(Breather& breathe) {
  auto retired = ids_.takeRetired();
  if (retired.empty()) return;
  const NamedIds named = namedByOldServices(breathe);
  ids_.keepRetired(retired, named.endpoints, named.clusters);
  release(std::move(retired));
}

// Part by part, each after a grace period: that many ids take more than a turn of the loop may.
void MapWriter::release(IdRegistry::Retired retired) {
  grace_.after([self = self_, left = std::move(retired)]() mutable {
    MapWriter* writer = *self;
    if (writer == nullptr) return;
    // What could not be written now stays taken. It is tried again after a restart.
    if (!writer->endpoints_.release(left)) return;
    if (!left.empty()) writer->release(std::move(left));
  });
}

std::size_t MapWriter::workOf(const std::shared_ptr<const LbTables>& tables) {
  note(tables);
  std::size_t work = 0;
  for (const TableChanges* changes : {&due_, &noted_}) {
    for (const std::string& name : changes->clusters) {
      const auto cluster = tables->clusters.find(name);
      const IdRegistry::Cluster* known = ids_.find(name);
      work += 1 + (cluster == tables->clusters.end() ? 0 : cluster->second->endpoints.size());
      work += known == nullptr ? 0 : known->endpoints.size();
    }
    for (const VipKey& key : changes->services) {
      ++work;
      const auto service = tables->services.find(key);
      if (service == tables->services.end()) continue;
      for (const auto& group : service->second->groups) work += group->hosts.size();
    }
  }
  return work;
}

bool MapWriter::makeRoom(const std::shared_ptr<const LbTables>& tables, std::function<void()> ready,
                         Breather& breathe) {
  note(tables);
  TableChanges changes = due_;
  changes.merge(noted_);
  return store_.makeRoom(extentsWith(*tables, changes, breathe), std::move(ready));
}

TableExtents MapWriter::extentsWith(const LbTables& tables, const TableChanges& changes,
                                    Breather& breathe) const {
  std::size_t clusters = 0, endpoints = 0;
  for (const std::string& name : changes.clusters) {
    const auto cluster = tables.clusters.find(name);
    if (cluster == tables.clusters.end()) continue;
    clusters += ids_.clusterId(name) == SM_NONE ? 1 : 0;
    endpoints += ids_.missing(*cluster->second, breathe);
  }
  TableExtents out = services_.extentsWith(tables, changes.services, breathe);
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
