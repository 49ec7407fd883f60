// SPDX-License-Identifier: Apache-2.0
#include "writer/kernel_store.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>

#include "base/log.h"
#include "maps/codec.h"

namespace sockmesh {
namespace {

// Copies into the consecutive entries of a paged table, page by page, making pages as needed.
template <typename T, std::uint32_t Bits>
Status writeRun(PagedTable<T, Bits>& table, std::uint32_t first, std::span<const T> values) {
  static_assert(sizeof(T) % 8 == 0, "the entries of a page are consecutive");
  constexpr std::uint32_t kEntries = PagedTable<T, Bits>::kPageEntries;
  while (!values.empty()) {
    if (auto made = table.ensure(first); !made) return made.error();
    const std::size_t count = std::min<std::size_t>(values.size(), kEntries - first % kEntries);
    std::copy_n(values.begin(), count, table.at(first));
    first += static_cast<std::uint32_t>(count);
    values = values.subspan(count);
  }
  return {};
}

template <typename Table>
Status zeroRun(Table& table, std::uint32_t first, std::uint32_t count) {
  for (std::uint32_t i = 0; i < count; ++i) {
    if (auto made = table.ensure(first + i); !made) return made.error();
    *table.at(first + i) = {};
  }
  return {};
}

template <typename Visit>
void eachExtent(KernelMaps& maps, const TableExtents& extents, Visit visit) {
  visit(maps.descriptors, extents.descriptors);
  visit(maps.groups, extents.groups);
  visit(maps.cells, extents.cells);
  visit(maps.endpoints, extents.endpoints);
  visit(maps.endpointState, extents.endpoints);
  visit(maps.endpointStats, extents.endpoints << SM_STATS_SHARD_BITS);
  visit(maps.clusterState, extents.clusters);
  visit(maps.clusterStats, extents.clusters << SM_STATS_SHARD_BITS);
}

template <typename Word>
void store(Word& word, Word value) {
  std::atomic_ref<Word>(word).store(value, std::memory_order_release);
}

}  // namespace

KernelStore::KernelStore(KernelMaps& maps, EjectionControl ejections)
    : maps_(maps), ejections_(ejections), filter_(maps) {
  adoptFilter();
  maps_.eachPagedTable([this](auto& table) { table.makeAhead(&pageMaker_); });
}

void KernelStore::adoptFilter() {
  if (auto adopted = filter_.adopt(); !adopted) {
    logger("datapath")->warn("the filter of VIPs stays as it was: {}", adopted.error().message());
  }
}

KernelStore::~KernelStore() {
  maps_.eachPagedTable([](auto& table) { table.makeAhead(nullptr); });
}

void KernelStore::reserve(const TableExtents& extents, Breather& breathe) {
  eachExtent(maps_, extents, [&breathe](auto& table, std::uint32_t end) {
    if (auto made = table.reserve(end, breathe); !made) {
      logger("datapath")->debug("making room: {}", made.error().message());
    }
  });
}

bool KernelStore::makeRoom(const TableExtents& extents, std::function<void()> ready) {
  bool enough = true;
  eachExtent(maps_, extents, [&](auto& table, std::uint32_t end) {
    if (table.makeBelow(end)) enough = false;
  });
  if (!enough) pageMaker_.then(std::move(ready));
  return enough;
}

void KernelStore::prepare(const TableExtents& extents) {
  eachExtent(maps_, extents, [](auto& table, std::uint32_t end) { table.prepare(end); });
}

Status KernelStore::writeCells(std::uint32_t first, std::span<const sm_cell> cells) {
  return writeRun(maps_.cells, first, cells);
}

Status KernelStore::writeGroups(std::uint32_t first, std::span<const sm_group> groups) {
  return writeRun(maps_.groups, first, groups);
}

Status KernelStore::writeDescriptor(std::uint32_t index, const sm_descriptor& descriptor) {
  return writeRun(maps_.descriptors, index, std::span<const sm_descriptor>(&descriptor, 1));
}

// Ids that were never used before come in ascending order. Their entries in a page of this process
// are still as the kernel made them, and cost no memory while they are untouched.
Status KernelStore::resetEndpoint(std::uint32_t id) {
  const bool firstUse = id > lastReset_;
  lastReset_ = std::max(lastReset_, id);
  if (firstUse && maps_.endpointState.isFresh(id) &&
      maps_.endpointStats.isFresh(id << SM_STATS_SHARD_BITS)) {
    return {};
  }
  if (auto done = zeroRun(maps_.endpointState, id, 1); !done) return done.error();
  // Clients' runs of failures at the endpoint that had this id before are not its own.
  store(maps_.endpointState.at(id)->born, static_cast<__u32>(SystemClock().monotonic().count()));
  return zeroRun(maps_.endpointStats, id << SM_STATS_SHARD_BITS, SM_STATS_SHARDS);
}

Status KernelStore::resetCluster(std::uint32_t id) {
  if (auto done = zeroRun(maps_.clusterState, id, 1); !done) return done.error();
  return zeroRun(maps_.clusterStats, id << SM_STATS_SHARD_BITS, SM_STATS_SHARDS);
}

// The mark comes before the look at the ejection. A detection in flight claims the state first and
// then looks at the mark. So one of the two sees the other.
Result<bool> KernelStore::withdraw(std::uint32_t endpointId) {
  sm_endpoint_state* state = maps_.endpointState.at(endpointId);
  if (state == nullptr) return false;
  std::atomic_ref<__u16>(state->withdrawn).store(1, std::memory_order_seq_cst);
  if (std::atomic_ref<__u64>(state->ejected_until_ns).load(std::memory_order_seq_cst) == 0) {
    return false;
  }
  return ejections_.uneject(endpointId);
}

Status KernelStore::relist(std::uint32_t endpointId) {
  sm_endpoint_state* state = maps_.endpointState.at(endpointId);
  if (state == nullptr) return Error::fromErrno("endpoint_state", ENOENT);
  store(state->withdrawn, __u16{0});
  return {};
}

Status KernelStore::publish(std::uint32_t serviceId, std::uint32_t descriptorIndex) {
  if (serviceId >= maps_.heads.size()) return Error::fromErrno("heads", E2BIG);
  // A release store: a program that sees the new index also sees the descriptor, groups and cells
  // behind it.
  store(maps_.heads[serviceId], descriptorIndex);
  return {};
}

Status KernelStore::insertFrontend(const VipKey& key, std::uint32_t serviceId) {
  if (key.vip.isRange()) return insertRange(key, serviceId);
  filter_.add(key);
  auto done = key.vip.ip.isV4() ? maps_.frontends4.insert(encodeFrontend4(key), serviceId)
                                : maps_.frontends6.insert(encodeFrontend6(key), serviceId);
  if (!done) filter_.remove(key);
  return done;
}

// The filter lets addresses pass before the first range is there.
Status KernelStore::insertRange(const VipKey& key, std::uint32_t serviceId) {
  filter_.addRange(key);
  auto done = maps_.ranges.put(encodeRange(key), serviceId);
  if (!done) filter_.removeRange(key);
  return done;
}

Status KernelStore::eraseFrontend(const VipKey& key) {
  if (key.vip.isRange()) {
    auto done = maps_.ranges.erase(encodeRange(key));
    if (done) filter_.removeRange(key);
    return done;
  }
  const bool v4 = key.vip.ip.isV4();
  const bool there = v4 ? maps_.frontends4.find(encodeFrontend4(key)).has_value()
                        : maps_.frontends6.find(encodeFrontend6(key)).has_value();
  auto done = v4 ? maps_.frontends4.erase(encodeFrontend4(key))
                 : maps_.frontends6.erase(encodeFrontend6(key));
  if (done && there) filter_.remove(key);
  return done;
}

Status KernelStore::writeEndpoint(std::uint32_t id, const sm_endpoint& endpoint) {
  return writeRun(maps_.endpoints, id, std::span<const sm_endpoint>(&endpoint, 1));
}

Status KernelStore::writeClusterLimits(std::uint32_t id, const LbCluster& cluster) {
  if (auto made = maps_.clusterState.ensure(id); !made) return made.error();
  sm_cluster_state& state = *maps_.clusterState.at(id);
  store(state.connect_timeout_ns, static_cast<__u64>(cluster.connectTimeout.count()));
  const EjectionRules& ejection = cluster.ejection;
  // Detection is off while the other words change, so that a connection that ends now does not see
  // half of them.
  store(state.base_ejection_ns, __u64{0});
  store(state.ejection_limit, ejection.limit);
  store(state.max_ejection_ns, static_cast<__u64>(ejection.max.count()));
  store(state.interval_ns, static_cast<__u64>(ejection.interval.count()));
  store(state.jitter_ms, static_cast<__u32>(ejection.jitter / std::chrono::milliseconds(1)));
  for (std::size_t i = 0; i < ejection.consecutive.size(); ++i) {
    const sm_consecutive_rule rule = encodeConsecutiveRule(ejection.consecutive[i]);
    store(state.consecutive[i].enforcing_percent, rule.enforcing_percent);
    store(state.consecutive[i].detector, rule.detector);
    store(state.consecutive[i].threshold, rule.threshold);
  }
  store(state.base_ejection_ns, static_cast<__u64>(ejection.base.count()));
  return {};
}

Status KernelStore::writeName(sm_name_kind kind, std::uint32_t id, const std::string& name) {
  const auto parts = encodeName(name);
  // Backwards: part 0 says how many parts there are, so a name is whole once part 0 exists.
  for (std::size_t part = parts.size(); part-- > 0;) {
    const sm_name_key key{id, static_cast<__u16>(kind), static_cast<__u16>(part)};
    if (auto erased = maps_.names.erase(key); !erased) return erased.error().in("names");
    if (auto done = maps_.names.insert(key, parts[part]); !done) return done.error().in("names");
  }
  return {};
}

Status KernelStore::eraseName(sm_name_kind kind, std::uint32_t id) {
  sm_name_key key{id, static_cast<__u16>(kind), 0};
  const auto first = maps_.names.find(key);
  const std::uint16_t parts = first ? first->parts : 1;
  for (; key.part < parts; ++key.part) {
    if (auto erased = maps_.names.erase(key); !erased) return erased.error().in("names");
  }
  return {};
}

std::uint32_t KernelStore::activeConnections(std::uint32_t endpointId) const {
  sm_endpoint_state* state = maps_.endpointState.at(endpointId);
  if (state == nullptr) return 0;
  return std::atomic_ref<std::uint32_t>(state->active).load(std::memory_order_acquire);
}

}  // namespace sockmesh
