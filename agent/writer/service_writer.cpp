// SPDX-License-Identifier: Apache-2.0
#include "writer/service_writer.h"

#include <algorithm>
#include <cerrno>
#include <random>
#include <set>
#include <unordered_set>
#include <utility>

#include "lb/policy/policy.h"
#include "maps/codec.h"

namespace sockmesh {
namespace {

// Index 0 is never given out: descriptor 0 stays all zero and matches no key.
constexpr std::uint32_t kMaxDescriptors = SM_DESCRIPTOR_PAGES << SM_DESCRIPTOR_PAGE_BITS;
constexpr std::uint32_t kMaxGroups = SM_GROUP_PAGES << SM_GROUP_PAGE_BITS;
constexpr std::uint32_t kMaxCells = SM_CELL_PAGES << SM_CELL_PAGE_BITS;
constexpr std::size_t kIdsInABreath = 1024;

// The cells of a table, which live as long as the table.
std::shared_ptr<const std::vector<sm_cell>> cellsOf(const std::shared_ptr<const CellTable>& table) {
  return {table, &table->cells};
}

void seedCursors(std::vector<sm_group>& groups) {
  static thread_local std::minstd_rand random{std::random_device{}()};
  for (sm_group& group : groups) {
    group.cursor = policyOf(group.policy).firstCursor(static_cast<std::uint32_t>(random()));
  }
}

}  // namespace

ServiceWriter::ServiceWriter(TableStore& store, GracePeriod& grace, const IdRegistry& ids,
                             std::uint32_t maxServices)
    : store_(store),
      grace_(grace),
      ids_(ids),
      serviceIds_(1, maxServices + 1),
      descriptorIds_(1, kMaxDescriptors),
      cells_(1, kMaxCells,
             [this](std::uint32_t first, std::span<const sm_cell> cells) {
               return store_.writeCells(first, cells);
             }),
      groups_(1, kMaxGroups,
              [this](std::uint32_t first, std::span<const sm_group> groups) {
                std::vector<sm_group> seeded(groups.begin(), groups.end());
                seedCursors(seeded);
                return store_.writeGroups(first, seeded);
              }),
      self_(std::make_shared<ServiceWriter*>(this)) {}

ServiceWriter::~ServiceWriter() {
  *self_ = nullptr;
}

Result<std::uint32_t> ServiceWriter::acquireHosts(const LbGroup& group, Breather& breathe) {
  const auto ids = ids_.endpointIds(group, breathe);
  auto cells = std::make_shared<std::vector<sm_cell>>((ids.size() + 3) / 4);
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] == SM_NONE) return Error("endpoint " + group.hosts[i].toString() + " has no id");
    (*cells)[i / 4].words[i % 4] = ids[i];
    if (i % kIdsInABreath == 0) breathe();
  }
  return cells_.acquire(std::move(cells), breathe);
}

Result<sm_group> ServiceWriter::buildGroup(const LbGroup& group, Breather& breathe) {
  // Its cluster could not be written: the service waits for it.
  if (!group.cluster.empty() && ids_.clusterId(group.cluster) == SM_NONE) {
    return Error("cluster " + *group.cluster + " has no id");
  }
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
  const auto hostCell = acquireHosts(group, breathe);
  if (!hostCell) return hostCell.error();
  out.host_cell = *hostCell;
  out.host_count = static_cast<__u32>(group.hosts.size());
  if (group.table) {
    const auto tableCell = cells_.acquire(cellsOf(group.table), breathe);
    if (!tableCell) {
      cells_.release(*hostCell);
      return tableCell.error();
    }
    out.table_cell = *tableCell;
    out.table_size = group.table->size;
  }
  return out;
}

Result<std::uint32_t> ServiceWriter::buildGroups(const LbService& service, Breather& breathe) {
  auto run = std::make_shared<std::vector<sm_group>>();
  const auto undo = [&] {
    for (const sm_group& group : *run) {
      cells_.release(group.host_cell);
      cells_.release(group.table_cell);
    }
  };
  for (std::size_t i = 0; i < service.groups.size(); ++i) {
    auto built = buildGroup(*service.groups[i], breathe);
    if (!built) {
      undo();
      return built.error();
    }
    built->leg = service.legOf(i);
    run->push_back(*built);
  }
  const auto first = groups_.acquire(run, breathe);
  // A range that existed already holds its own references to the cells.
  if (!first || groups_.references(*first) > 1) undo();
  return first;
}

Result<ServiceWriter::Installed> ServiceWriter::build(
    std::uint32_t id, const std::shared_ptr<const LbService>& service, Breather& breathe) {
  Installed built;
  built.id = id;
  built.service = service;
  if (auto done = buildAll(*service, built, breathe); !done) {
    freeBuilt(built);
    return done.error();
  }
  return built;
}

// The descriptor that refers to the others is written last, because it becomes visible when it is
// published.
Status ServiceWriter::buildAll(const LbService& service, Installed& built, Breather& breathe) {
  Status done;
  if (service.ipv4Only) {
    done = buildTables(built.id, *service.ipv4Only, {}, built.ipv4Only, breathe);
  }
  if (done && service.ipv6Only) {
    done = buildTables(built.id, *service.ipv6Only, {}, built.ipv6Only, breathe);
  }
  if (done) done = buildTables(built.id, service, built, built.tables, breathe);
  return done;
}

// What was built before an error is in `built`, for freeTables().
Status ServiceWriter::buildTables(std::uint32_t id, const LbService& service,
                                  const Installed& others, Tables& built, Breather& breathe) {
  const auto groupFirst = buildGroups(service, breathe);
  if (!groupFirst) return groupFirst.error();
  built.groupFirst = *groupFirst;
  if (service.pick) {
    const auto pickCell = cells_.acquire(cellsOf(service.pick), breathe);
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
  descriptor.range_bits = service.vip.isRange() ? service.vip.bits : 0;
  descriptor.group_first = built.groupFirst;
  descriptor.group_count = static_cast<__u32>(service.groups.size());
  descriptor.pick_cell = built.pickCell;
  descriptor.pick_size = service.pickSize;
  descriptor.flags = service.flags;
  descriptor.affinity_s = service.affinitySeconds;
  descriptor.ipv4_only = others.ipv4Only.descriptorIndex;
  descriptor.ipv6_only = others.ipv6Only.descriptorIndex;
  return store_.writeDescriptor(*index, descriptor);
}

void ServiceWriter::releaseGroups(std::uint32_t groupFirst) {
  const auto freed = groups_.release(groupFirst);
  if (!freed) return;
  for (const sm_group& group : *freed) {
    cells_.release(group.host_cell);
    cells_.release(group.table_cell);
  }
}

void ServiceWriter::freeTables(const Tables& built) {
  releaseGroups(built.groupFirst);
  cells_.release(built.pickCell);
  if (built.descriptorIndex != 0) descriptorIds_.release(built.descriptorIndex);
}

void ServiceWriter::freeBuilt(const Installed& built) {
  for (const Tables* tables : {&built.tables, &built.ipv4Only, &built.ipv6Only}) {
    freeTables(*tables);
  }
}

// Enters a new VIP: first its name, then its head, and last the key that makes it reachable.
Status ServiceWriter::enter(const VipKey& key, const Installed& built) {
  auto done = store_.writeName(SM_NAME_SERVICE, built.id, built.service->name);
  if (done) done = store_.publish(built.id, built.tables.descriptorIndex);
  if (done) done = store_.insertFrontend(key, built.id);
  return done;
}

Status ServiceWriter::install(const VipKey& key, const std::shared_ptr<const LbService>& service,
                              WriteReport& report, Breather& breathe) {
  const auto found = services_.find(key);
  if (found == services_.end()) {
    auto done = add(key, service, breathe);
    if (done) ++report.servicesAdded;
    return done;
  }
  Installed& installed = found->second;
  if (installed.service->sameAs(*service, breathe)) {
    installed.service = service;
    return {};
  }
  auto done = replace(installed, service, breathe);
  if (done) ++report.servicesChanged;
  return done;
}

Status ServiceWriter::replace(Installed& installed, const std::shared_ptr<const LbService>& service,
                              Breather& breathe) {
  auto built = build(installed.id, service, breathe);
  if (!built) return built.error();
  Status done;
  if (installed.service->name != service->name) {
    done = store_.writeName(SM_NAME_SERVICE, installed.id, service->name);
  }
  if (done) done = store_.publish(installed.id, built->tables.descriptorIndex);
  if (!done) {
    freeBuilt(*built);
    return done;
  }
  grace_.after([self = self_, replaced = std::exchange(installed, std::move(built).value())] {
    if (*self != nullptr) (*self)->freeBuilt(replaced);
  });
  return {};
}

Status ServiceWriter::add(const VipKey& key, const std::shared_ptr<const LbService>& service,
                          Breather& breathe) {
  const auto id = serviceIds_.allocate();
  if (!id) {
    return Error("no room: all " + std::to_string(serviceIds_.limit() - 1) +
                 " services are in use (datapath.max_services)");
  }
  auto built = build(*id, service, breathe);
  if (!built) {
    serviceIds_.release(*id);
    return built.error();
  }
  if (auto done = enter(key, *built); !done) {
    retireWithId(std::move(built).value());
    return done;
  }
  services_.emplace(key, std::move(built).value());
  return {};
}

// The head is cleared at once: a UDP flow finds its service by the id.
void ServiceWriter::retireWithId(Installed gone) {
  [[maybe_unused]] const Status cleared = store_.publish(gone.id, SM_NONE);
  grace_.after([self = self_, gone = std::move(gone)] {
    ServiceWriter* writer = *self;
    if (writer == nullptr) return;
    writer->freeBuilt(gone);
    [[maybe_unused]] const Status erased = writer->store_.eraseName(SM_NAME_SERVICE, gone.id);
    writer->serviceIds_.release(gone.id);
  });
}

Status ServiceWriter::remove(const VipKey& key, WriteReport& report) {
  const auto found = services_.find(key);
  if (found == services_.end()) return {};
  if (auto erased = store_.eraseFrontend(key); !erased) {
    return erased.error().in(key.vip.toString());
  }
  ++report.servicesRemoved;
  retireWithId(std::move(found->second));
  services_.erase(found);
  return {};
}

std::shared_ptr<const LbService> ServiceWriter::inKernel(const VipKey& key) const {
  const auto found = services_.find(key);
  return found == services_.end() ? nullptr : found->second.service;
}

TableExtents ServiceWriter::extents() const {
  TableExtents now;
  now.descriptors = descriptorIds_.extentAfter(0);
  now.groups = groups_.extentAfter(0);
  now.cells = cells_.extentAfter(0);
  return now;
}

TableExtents ServiceWriter::extentsWith(const LbTables& tables, const std::set<VipKey>& keys,
                                        Breather& breathe) const {
  std::size_t descriptors = 0, groups = 0, cells = 0;
  // What several services share is there once.
  std::unordered_set<const void*> counted;
  const auto count = [&](const std::shared_ptr<const CellTable>& table) {
    if (table && counted.insert(table.get()).second) cells += table->cells.size();
  };
  for (const VipKey& key : keys) {
    const auto service = tables.services.find(key);
    if (service == tables.services.end()) continue;
    const auto found = services_.find(key);
    if (found != services_.end() && found->second.service->sameAs(*service->second, breathe)) {
      continue;
    }
    eachOf(*service->second, [&](const LbService& one) {
      ++descriptors;
      groups += one.groups.size();
      count(one.pick);
      for (const auto& group : one.groups) {
        if (!counted.insert(group.get()).second) continue;
        cells += (group->hosts.size() + 3) / 4;
        count(group->table);
      }
    });
    breathe();
  }
  TableExtents out;
  if (descriptors > 0) out.descriptors = descriptorIds_.extentAfter(descriptors);
  if (groups > 0) out.groups = groups_.extentAfter(groups);
  if (cells > 0) out.cells = cells_.extentAfter(cells);
  return out;
}

void ServiceWriter::adoptService(const VipKey& key, const ImageService& image,
                                 WriteReport& report) {
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
  if (!serviceIds_.take(image.id)) sound = Error("the service's id is in use or out of range");
  take(image, adopted.tables);
  if (image.ipv4Only) take(*image.ipv4Only, adopted.ipv4Only);
  if (image.ipv6Only) take(*image.ipv6Only, adopted.ipv6Only);
  if (!sound) {
    report.errors.push_back(key.vip.toString() + ": " + sound.error().message() + "; removed");
    report.note(store_.eraseFrontend(key));
    return;
  }
  services_[key] = std::move(adopted);
}

Result<ServiceWriter::Tables> ServiceWriter::adoptTables(const ImageService& image) {
  if (!descriptorIds_.take(image.descriptorIndex))
    return Error("the service's descriptor is in use");
  const auto run = std::make_shared<std::vector<sm_group>>(image.groups);
  for (sm_group& group : *run) group.cursor = 0;
  const bool known = groups_.contains(image.descriptor.group_first);
  bool sound = groups_.adopt(image.descriptor.group_first, run);
  for (std::size_t i = 0; sound && !known && i < run->size(); ++i) {
    const LbGroup& group = *image.service->groups[i];
    const sm_group& raw = (*run)[i];
    sound = cells_.adopt(raw.host_cell, std::make_shared<const std::vector<sm_cell>>(
                                            encodeHosts(ids_.endpointIds(group))));
    if (sound && group.table) sound = cells_.adopt(raw.table_cell, cellsOf(group.table));
  }
  if (sound && image.service->pick) {
    sound = cells_.adopt(image.descriptor.pick_cell, cellsOf(image.service->pick));
  }
  if (!sound) return Error("the service's tables overlap other tables");
  return Tables{image.descriptorIndex, image.descriptor.group_first,
                image.service->pick ? image.descriptor.pick_cell : 0};
}

void ServiceWriter::adopt(const KernelImage& image, WriteReport& report) {
  for (const auto& [key, service] : image.services) adoptService(key, service, report);
  for (const VipKey& key : image.brokenFrontends) report.note(store_.eraseFrontend(key));
  std::set<std::uint32_t> used;
  for (const auto& [key, installed] : services_) used.insert(installed.id);
  for (const auto& [id, name] : image.serviceNames) {
    if (used.contains(id)) continue;
    report.note(store_.publish(id, SM_NONE));
    report.note(store_.eraseName(SM_NAME_SERVICE, id));
  }
}

}  // namespace sockmesh
