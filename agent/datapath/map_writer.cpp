#include "datapath/map_writer.h"

#include <algorithm>
#include <cerrno>
#include <random>
#include <set>
#include <unordered_set>
#include <utility>

#include "datapath/codec.h"
#include "lb/policy/policy.h"

namespace sockmesh {
namespace {

// Index 0 is never handed out: descriptor 0 stays all zero and matches no key.
constexpr std::uint32_t kMaxDescriptors = SM_DESCRIPTOR_PAGES << SM_DESCRIPTOR_PAGE_BITS;
constexpr std::uint32_t kMaxGroups = SM_GROUP_PAGES << SM_GROUP_PAGE_BITS;
constexpr std::uint32_t kMaxCells = SM_CELL_PAGES << SM_CELL_PAGE_BITS;

// The service and its tables for sockets that reach one family alone.
template <typename Visit>
void eachOf(const LbService& service, const Visit& visit) {
  visit(service);
  if (service.ipv4Only) visit(*service.ipv4Only);
  if (service.ipv6Only) visit(*service.ipv6Only);
}

void seedCursors(std::vector<sm_group>& groups) {
  static thread_local std::minstd_rand random{std::random_device{}()};
  for (sm_group& group : groups) {
    group.cursor = policyOf(group.policy).firstCursor(static_cast<std::uint32_t>(random()));
  }
}

}  // namespace

MapWriter::MapWriter(TableStore& store, GracePeriod& grace, std::uint32_t maxServices)
    : store_(store),
      grace_(grace),
      ids_(store),
      serviceIds_(1, maxServices + 1),
      descriptorIds_(1, kMaxDescriptors),
      cells_(1, kMaxCells,
             [this](std::uint32_t first, const std::vector<sm_cell>& run) {
               ++writes_;
               return store_.writeCells(first, run);
             }),
      groups_(1, kMaxGroups,
              [this](std::uint32_t first, const std::vector<sm_group>& run) {
                ++writes_;
                auto seeded = run;
                seedCursors(seeded);
                return store_.writeGroups(first, seeded);
              }),
      self_(std::make_shared<MapWriter*>(this)) {}

MapWriter::~MapWriter() {
  *self_ = nullptr;
}

void MapWriter::note(const Status& status, WriteReport& report) {
  if (!status) report.errors.push_back(status.error().message());
}

Result<sm_group> MapWriter::buildGroup(const LbGroup& group) {
  sm_group out{};
  out.policy = group.policy;
  out.reason = group.reason;
  out.cluster_id = ids_.clusterId(group.cluster);
  out.flags = group.flags;
  out.choice_count = group.choiceCount;
  out.bias_q16 = group.biasQ16;
  out.balance_percent = group.balancePercent;
  out.ring_shift = group.ringShift;
  out.priority = static_cast<__u16>(group.priority);
  out.locality_id = ids_.localityId(group.locality);
  const auto hosts = ids_.endpointIds(group);
  if (const auto none = std::find(hosts.begin(), hosts.end(), SM_NONE); none != hosts.end()) {
    const auto at = static_cast<std::size_t>(none - hosts.begin());
    return Error("endpoint " + group.hosts[at].toString() + " has no id");
  }
  const auto hostCell = cells_.acquire(encodeHosts(hosts));
  if (!hostCell) return hostCell.error();
  out.host_cell = *hostCell;
  out.host_count = static_cast<__u32>(hosts.size());
  if (group.table) {
    const auto tableCell = cells_.acquire(group.table->cells);
    if (!tableCell) {
      cells_.release(*hostCell);
      return tableCell.error();
    }
    out.table_cell = *tableCell;
    out.table_size = group.table->size;
  }
  return out;
}

Result<std::uint32_t> MapWriter::buildGroups(const LbService& service) {
  std::vector<sm_group> run;
  const auto undo = [&] {
    for (const sm_group& group : run) {
      cells_.release(group.host_cell);
      cells_.release(group.table_cell);
    }
  };
  for (std::size_t i = 0; i < service.groups.size(); ++i) {
    auto built = buildGroup(*service.groups[i]);
    if (!built) {
      undo();
      return built.error();
    }
    built->leg = service.legOf(i);
    run.push_back(*built);
  }
  const auto first = groups_.acquire(run);
  // A run that was there already holds its own references to the cells.
  if (!first || groups_.references(*first) > 1) undo();
  return first;
}

Result<MapWriter::Installed> MapWriter::build(std::uint32_t id, const LbService& service) {
  Installed built;
  built.id = id;
  if (auto done = buildAll(service, built); !done) {
    freeBuilt(built);
    return done.error();
  }
  return built;
}

// The descriptor that refers to the others comes last: it can be seen once it is published.
Status MapWriter::buildAll(const LbService& service, Installed& built) {
  Status done;
  if (service.ipv4Only) done = buildTables(built.id, *service.ipv4Only, {}, built.ipv4Only);
  if (done && service.ipv6Only) {
    done = buildTables(built.id, *service.ipv6Only, {}, built.ipv6Only);
  }
  if (done) done = buildTables(built.id, service, built, built.tables);
  return done;
}

// What was built before an error is in `built`, for freeTables().
Status MapWriter::buildTables(std::uint32_t id, const LbService& service, const Installed& others,
                              Tables& built) {
  const auto groupFirst = buildGroups(service);
  if (!groupFirst) return groupFirst.error();
  built.groupFirst = *groupFirst;
  if (service.pick) {
    const auto pickCell = cells_.acquire(service.pick->cells);
    if (!pickCell) return pickCell.error();
    built.pickCell = *pickCell;
  }
  const auto index = descriptorIds_.allocate();
  if (!index) return Error::fromErrno("descriptors", ENOSPC);
  built.descriptorIndex = *index;
  sm_descriptor descriptor{};
  encodeAddress(service.vip.ip, descriptor.addr_be);
  descriptor.port_be = encodePort(service.vip.port);
  descriptor.protocol = static_cast<__u8>(service.protocol);
  descriptor.family = service.vip.ip.isV4() ? SM_FAMILY_V4 : SM_FAMILY_V6;
  descriptor.service_id = id;
  descriptor.group_first = built.groupFirst;
  descriptor.group_count = static_cast<__u32>(service.groups.size());
  descriptor.pick_cell = built.pickCell;
  descriptor.pick_size = service.pickSize;
  descriptor.flags = service.flags;
  descriptor.affinity_s = service.affinitySeconds;
  descriptor.ipv4_only = others.ipv4Only.descriptorIndex;
  descriptor.ipv6_only = others.ipv6Only.descriptorIndex;
  ++writes_;
  return store_.writeDescriptor(*index, descriptor);
}

void MapWriter::releaseGroups(std::uint32_t groupFirst) {
  const auto freed = groups_.release(groupFirst);
  if (!freed) return;
  for (const sm_group& group : *freed) {
    cells_.release(group.host_cell);
    cells_.release(group.table_cell);
  }
}

void MapWriter::freeTables(const Tables& built) {
  releaseGroups(built.groupFirst);
  cells_.release(built.pickCell);
  if (built.descriptorIndex != 0) descriptorIds_.release(built.descriptorIndex);
}

void MapWriter::freeBuilt(const Installed& built) {
  for (const Tables* tables : {&built.tables, &built.ipv4Only, &built.ipv6Only}) {
    freeTables(*tables);
  }
}

// A new VIP: its name, its head, and last the key that makes it reachable.
Status MapWriter::enter(const VipKey& key, Installed& built) {
  auto done = store_.writeName(SM_NAME_SERVICE, built.id, built.service->name);
  if (done) done = store_.publish(built.id, built.tables.descriptorIndex);
  if (done) done = store_.insertFrontend(key, built.id);
  writes_ += 3;
  return done;
}

Status MapWriter::install(const VipKey& key, const std::shared_ptr<const LbService>& service,
                          WriteReport& report) {
  const auto found = services_.find(key);
  if (found != services_.end()) {
    Installed& installed = found->second;
    if (*installed.service == *service) {
      installed.service = service;
      return {};
    }
    auto built = build(installed.id, *service);
    if (!built) return built.error();
    built->service = service;
    Status done;
    if (installed.service->name != service->name) {
      done = store_.writeName(SM_NAME_SERVICE, installed.id, service->name);
      ++writes_;
    }
    if (done) done = store_.publish(installed.id, built->tables.descriptorIndex);
    ++writes_;
    if (!done) {
      freeBuilt(*built);
      return done;
    }
    ++report.servicesChanged;
    retire(std::exchange(installed, std::move(built).value()), false);
    return {};
  }
  const auto id = serviceIds_.allocate();
  if (!id) {
    return Error("no room: all " + std::to_string(serviceIds_.limit() - 1) +
                 " services are in use (datapath.max_services)");
  }
  auto built = build(*id, *service);
  Status done = built ? Status() : Status(built.error());
  if (built) {
    built->service = service;
    done = enter(key, *built);
    if (!done) {
      freeBuilt(*built);
      [[maybe_unused]] const Status ignored = store_.eraseName(SM_NAME_SERVICE, *id);
    }
  }
  if (!done) {
    serviceIds_.release(*id);
    return done;
  }
  ++report.servicesAdded;
  services_.emplace(key, std::move(built).value());
  return {};
}

void MapWriter::retire(Installed replaced, bool withId) {
  grace_.after([self = self_, replaced = std::move(replaced), withId] {
    MapWriter* writer = *self;
    if (writer == nullptr) return;
    writer->freeBuilt(replaced);
    if (!withId) return;
    [[maybe_unused]] const Status cleared = writer->store_.publish(replaced.id, SM_NONE);
    [[maybe_unused]] const Status erased = writer->store_.eraseName(SM_NAME_SERVICE, replaced.id);
    writer->serviceIds_.release(replaced.id);
  });
}

void MapWriter::removeGone(const LbTables& tables, WriteReport& report) {
  for (auto it = services_.begin(); it != services_.end();) {
    if (tables.services.contains(it->first)) {
      ++it;
      continue;
    }
    if (auto erased = store_.eraseFrontend(it->first); !erased) {
      note(erased.error().in(it->first.vip.toString()), report);
      ++it;
      continue;
    }
    ++writes_;
    ++report.servicesRemoved;
    retire(std::move(it->second), true);
    it = services_.erase(it);
  }
}

// Ids that a held service's tables name stay taken, whatever became of their endpoints.
void MapWriter::retireIds(const std::vector<HeldService>& held) {
  auto retired = ids_.takeRetired();
  if (retired.empty()) return;
  if (!held.empty()) {
    std::set<std::uint32_t> named;
    for (const HeldService& one : held) {
      eachOf(*services_.at(one.key).service, [&](const LbService& service) {
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
    std::uint64_t writes = 0;
    // What could not be written now stays taken, and is tried again after a restart.
    [[maybe_unused]] const Status released = writer->ids_.release(retired, writes);
  });
}

void MapWriter::findHeld(const LbTables& tables, const Unknowns& unknowns,
                         WriteReport& report) const {
  for (const auto& [key, service] : tables.services) {
    auto clusters = clustersToWaitFor(*service, unknowns);
    if (clusters.empty()) continue;
    const auto found = services_.find(key);
    if (found == services_.end() || !decides(*found->second.service)) continue;
    const LbService& inKernel = *found->second.service;
    std::erase_if(clusters, [&](const auto& name) { return leavesAlone(inKernel, name); });
    if (!clusters.empty()) report.held.push_back({service->name, key, std::move(clusters)});
  }
  if (unknowns.listeners.empty() && !unknowns.anyListener) return;
  for (const auto& [key, installed] : services_) {
    if (tables.services.contains(key)) continue;
    const std::string& name = installed.service->name;
    if (unknowns.anyListener || unknowns.listeners.contains(name)) {
      report.held.push_back({name, key, {}});
    }
  }
}

// `tables`, with what is held as the kernel has it: to the rest of apply() it is unchanged.
std::shared_ptr<const LbTables> MapWriter::withHeld(const std::shared_ptr<const LbTables>& tables,
                                                    const std::vector<HeldService>& held) {
  if (held.empty()) {
    heldClusters_.clear();
    return tables;
  }
  auto merged = std::make_shared<LbTables>(*tables);
  std::set<std::string> waiting, named;
  for (const HeldService& one : held) {
    const auto& service = services_.at(one.key).service;
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
  writes_ = 0;
  findHeld(*wanted, unknowns, report);
  auto tables = withHeld(wanted, report.held);
  report.tables = tables;
  store_.reserve(extentsWith(*tables));
  for (const auto& [name, cluster] : tables->clusters) {
    if (isApplied(name, cluster)) continue;
    note(ids_.update(*cluster, report.writes), report);
  }
  // VIPs that went first: where the tables are full, what is new may need their room.
  removeGone(*tables, report);
  for (const auto& [key, service] : tables->services) {
    if (auto done = install(key, service, report); !done) {
      note(done.error().in("service " + key.vip.toString() + " (" + service->name + ")"), report);
    }
  }
  for (const std::string& name : ids_.clusters()) {
    if (!tables->clusters.contains(name)) note(ids_.retire(name, report.writes), report);
  }
  // A service that kept its old tables still names the old endpoints: their ids wait for an
  // apply() in which everything fitted.
  if (report.errors.empty()) retireIds(report.held);
  // A cluster that failed must be tried again: its pointer alone would say "unchanged".
  applied_ = report.errors.empty() ? std::move(tables) : nullptr;
  report.writes += writes_;
  store_.prepare({descriptorIds_.extentAfter(0), groups_.extentAfter(0), cells_.extentAfter(0),
                  ids_.endpointsAfter(0), ids_.clustersAfter(0)});
  return report;
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
  std::size_t clusters = 0, endpoints = 0, descriptors = 0, groups = 0, cells = 0;
  for (const auto& [name, cluster] : tables.clusters) {
    if (isApplied(name, cluster)) continue;
    clusters += ids_.clusterId(name) == SM_NONE ? 1 : 0;
    endpoints += ids_.missing(*cluster);
  }
  // What several services share is there once.
  std::unordered_set<const void*> counted;
  const auto count = [&](const std::shared_ptr<const CellTable>& table) {
    if (table && counted.insert(table.get()).second) cells += table->cells.size();
  };
  for (const auto& [key, service] : tables.services) {
    const auto found = services_.find(key);
    if (found != services_.end() && *found->second.service == *service) continue;
    eachOf(*service, [&](const LbService& one) {
      ++descriptors;
      groups += one.groups.size();
      count(one.pick);
      for (const auto& group : one.groups) {
        if (!counted.insert(group.get()).second) continue;
        cells += (group->hosts.size() + 3) / 4;
        count(group->table);
      }
    });
  }
  const auto extent = [](std::size_t more, auto after) { return more == 0 ? 0 : after(more); };
  return {extent(descriptors, [&](std::size_t n) { return descriptorIds_.extentAfter(n); }),
          extent(groups, [&](std::size_t n) { return groups_.extentAfter(n); }),
          extent(cells, [&](std::size_t n) { return cells_.extentAfter(n); }),
          extent(endpoints, [&](std::size_t n) { return ids_.endpointsAfter(n); }),
          extent(clusters, [&](std::size_t n) { return ids_.clustersAfter(n); })};
}

WriteReport MapWriter::reap() {
  WriteReport report;
  note(ids_.reap(report.writes), report);
  return report;
}

void MapWriter::adoptService(const VipKey& key, const ImageService& image, WriteReport& report) {
  Installed adopted;
  adopted.id = image.id;
  adopted.service = image.service;
  Status sound;
  const auto take = [&](const ImageService& one, Tables& into) {
    if (!sound) return;
    auto tables = adoptTables(one);
    if (tables) {
      into = *tables;
    } else {
      sound = tables.error();
    }
  };
  if (!serviceIds_.take(image.id)) sound = Error("its service id is taken or out of range");
  take(image, adopted.tables);
  if (image.ipv4Only) take(*image.ipv4Only, adopted.ipv4Only);
  if (image.ipv6Only) take(*image.ipv6Only, adopted.ipv6Only);
  if (!sound) {
    report.errors.push_back(key.vip.toString() + ": " + sound.error().message() + "; removed");
    note(store_.eraseFrontend(key), report);
    ++report.writes;
    return;
  }
  services_[key] = std::move(adopted);
}

Result<MapWriter::Tables> MapWriter::adoptTables(const ImageService& image) {
  if (!descriptorIds_.take(image.descriptorIndex)) return Error("its descriptor is taken");
  std::vector<sm_group> run = image.groups;
  for (sm_group& group : run) group.cursor = 0;
  const bool known = groups_.contains(image.descriptor.group_first);
  bool sound = groups_.adopt(image.descriptor.group_first, run);
  for (std::size_t i = 0; sound && !known && i < run.size(); ++i) {
    const LbGroup& group = *image.service->groups[i];
    sound = cells_.adopt(run[i].host_cell, encodeHosts(ids_.endpointIds(group)));
    if (sound && group.table) sound = cells_.adopt(run[i].table_cell, group.table->cells);
  }
  if (sound && image.service->pick) {
    sound = cells_.adopt(image.descriptor.pick_cell, image.service->pick->cells);
  }
  if (!sound) return Error("its tables overlap others");
  return Tables{image.descriptorIndex, image.descriptor.group_first,
                image.service->pick ? image.descriptor.pick_cell : 0};
}

WriteReport MapWriter::adopt(const KernelImage& image) {
  WriteReport report;
  ids_.adopt(image);
  for (const auto& [key, service] : image.services) adoptService(key, service, report);
  for (const VipKey& key : image.brokenFrontends) {
    note(store_.eraseFrontend(key), report);
    ++report.writes;
  }
  std::set<std::uint32_t> used;
  for (const auto& [key, installed] : services_) used.insert(installed.id);
  for (const auto& [id, name] : image.serviceNames) {
    if (used.contains(id)) continue;
    note(store_.eraseName(SM_NAME_SERVICE, id), report);
    ++report.writes;
  }
  return report;
}

}  // namespace sockmesh
