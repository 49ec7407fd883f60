// SPDX-License-Identifier: Apache-2.0
#include "writer/map_writer.h"

#include <set>
#include <utility>

namespace sockmesh {
namespace {

// Names mostly come in order.
template <typename Key>
void add(std::set<Key>& names, const Key& name, Breather& breathe) {
  names.insert(names.end(), name);
  breathe();
}

void merge(TableChanges& changes, const TableChanges& later, Breather& breathe) {
  for (const VipKey& key : later.services) add(changes.services, key, breathe);
  for (const std::string& name : later.clusters) add(changes.clusters, name, breathe);
}

}  // namespace

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

bool MapWriter::isSuccessor(const LbTables& tables) const {
  return wanted_ != nullptr && tables.before == wanted_.get();
}

// Takes in tables, and what they change.
void MapWriter::note(const std::shared_ptr<const LbTables>& tables, Breather& breathe) {
  if (tables == wanted_) return;
  const bool successor = isSuccessor(*tables);
  wanted_ = tables;
  successor ? merge(noted_, tables->changed, breathe) : lookAtAll(breathe);
}

// All that there is, in the tables, in the kernel or in what it was to be brought to.
void MapWriter::lookAtAll(Breather& breathe) {
  for (const auto& [key, service] : wanted_->services) add(noted_.services, key, breathe);
  for (const auto& [key, service] : aim_->services) add(noted_.services, key, breathe);
  services_.each([&](const VipKey& key, const LbService&) { add(noted_.services, key, breathe); });
  for (const auto& [name, cluster] : wanted_->clusters) add(noted_.clusters, *name, breathe);
  noted_.clusters.merge(ids_.clusters(breathe));
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
std::shared_ptr<const LbCluster> MapWriter::aimOf(const std::string& cluster,
                                                  Breather& breathe) const {
  const auto found = wanted_->clusters.find(cluster);
  const auto wanted = found == wanted_->clusters.end() ? nullptr : found->second;
  if (!held_.leadsTo(cluster) || (wanted && !held_.waitsFor(cluster))) return wanted;
  auto listed = ids_.listed(cluster, breathe);
  if (!listed) return wanted;
  const auto before = aim_->clusters.find(cluster);
  if (before != aim_->clusters.end() && before->second->sameAs(*listed, breathe)) {
    return before->second;
  }
  return std::make_shared<const LbCluster>(*std::move(listed));
}

// Brings `aim_` to what was noted.
void MapWriter::aim(const Unknowns& unknowns, Breather& breathe) {
  if (unknowns != unknowns_) {
    unknowns_ = unknowns;
    lookAtAll(breathe);
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
    const auto cluster = aimOf(name, breathe);
    if (!differs(next->clusters, name, cluster)) continue;
    put(next->clusters, name, cluster);
    next->changed.clusters.insert(name);
  }
  merge(due_, next->changed, breathe);
  // At first the kernel may differ in anything.
  if (std::exchange(first_, false)) merge(due_, noted_, breathe);
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
  note(tables, breathe);
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
  store_.reserve(extentsWith(*aim_, due_, breathe), breathe);
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
  const auto addOf = [&](const VipKey& key) {
    const auto inKernel = services_.inKernel(key);
    if (!inKernel) return;
    eachOf(*inKernel, [&](const LbService& service) {
      for (const auto& group : service.groups) {
        for (const std::uint32_t id : ids_.endpointIds(*group, breathe)) {
          named.endpoints.insert(id);
        }
        named.clusters.insert(ids_.clusterId(group->cluster));
      }
    });
  };
  for (const auto& [key, held] : held_.all()) addOf(key);
  for (const VipKey& key : due_.services) addOf(key);
  return named;
}

// Ids that the tables of an old service name stay in use, also if their endpoints are gone.
void MapWriter::retireIds(Breather& breathe) {
  auto retired = ids_.takeRetired();
  if (retired.empty()) return;
  const NamedIds named = namedByOldServices(breathe);
  ids_.keepRetired(retired, named.endpoints, named.clusters, breathe);
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

bool MapWriter::isMoreThan(std::size_t limit, const std::shared_ptr<const LbTables>& tables) const {
  std::size_t work = 0;
  const auto addCluster = [&](const std::string& name) {
    const auto cluster = tables->clusters.find(name);
    const IdRegistry::Cluster* known = ids_.find(name);
    work += 1 + (cluster == tables->clusters.end() ? 0 : cluster->second->endpoints.size());
    work += known == nullptr ? 0 : known->endpoints.size();
  };
  const auto addService = [&](const VipKey& key) {
    ++work;
    const auto service = tables->services.find(key);
    if (service == tables->services.end()) return;
    for (const auto& group : service->second->groups) work += group->hosts.size();
  };
  const auto addAll = [&](const TableChanges& changes) {
    for (const std::string& name : changes.clusters) {
      if (work > limit) return;
      addCluster(name);
    }
    for (const VipKey& key : changes.services) {
      if (work > limit) return;
      addService(key);
    }
  };
  addAll(due_);
  addAll(noted_);
  if (tables == wanted_) return work > limit;
  addAll(tables->changed);
  if (isSuccessor(*tables)) return work > limit;
  work += services_.size() + tables->services.size() + ids_.endpointsAfter(0);
  for (auto it = tables->clusters.begin(); it != tables->clusters.end() && work <= limit; ++it) {
    addCluster(it->first);
  }
  return work > limit;
}

bool MapWriter::makeRoom(const std::shared_ptr<const LbTables>& tables, std::function<void()> ready,
                         Breather& breathe) {
  note(tables, breathe);
  TableChanges changes;
  merge(changes, due_, breathe);
  merge(changes, noted_, breathe);
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
