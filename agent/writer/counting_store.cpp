// SPDX-License-Identifier: Apache-2.0
#include "writer/counting_store.h"

#include <algorithm>
#include <array>

namespace sockmesh {

namespace {

// The maps that a store writes, in the order in which they are shown.
constexpr std::array kWritten = {MapId::cells,          MapId::groups,        MapId::descriptors,
                                 MapId::endpoint_state, MapId::cluster_state, MapId::heads,
                                 MapId::frontends4,     MapId::frontends6,    MapId::ranges,
                                 MapId::endpoints,      MapId::names};

MapId frontendsOf(const VipKey& key) {
  if (key.vip.isRange()) return MapId::ranges;
  return key.vip.ip.isV4() ? MapId::frontends4 : MapId::frontends6;
}

}  // namespace

CountingStore::ByMap CountingStore::zeros() {
  ByMap counts;
  for (const MapId map : kWritten) counts.emplace_back(mapName(map), 0);
  return counts;
}

Status CountingStore::count(MapId map, Status status) {
  const auto at = std::ranges::find(kWritten, map) - kWritten.begin();
  ++(status.ok() ? writes_ : errors_)[static_cast<std::size_t>(at)].second;
  total_ += status.ok() ? 1 : 0;
  return status;
}

void CountingStore::reserve(const TableExtents& extents, Breather& breathe) {
  inner_.reserve(extents, breathe);
}
bool CountingStore::makeRoom(const TableExtents& extents, std::function<void()> ready) {
  return inner_.makeRoom(extents, std::move(ready));
}
void CountingStore::prepare(const TableExtents& extents) {
  inner_.prepare(extents);
}
Status CountingStore::writeCells(std::uint32_t first, std::span<const sm_cell> cells) {
  return count(MapId::cells, inner_.writeCells(first, cells));
}
Status CountingStore::writeGroups(std::uint32_t first, std::span<const sm_group> groups) {
  return count(MapId::groups, inner_.writeGroups(first, groups));
}
Status CountingStore::writeDescriptor(std::uint32_t index, const sm_descriptor& descriptor) {
  return count(MapId::descriptors, inner_.writeDescriptor(index, descriptor));
}
Status CountingStore::resetEndpoint(std::uint32_t id) {
  return count(MapId::endpoint_state, inner_.resetEndpoint(id));
}
Status CountingStore::resetCluster(std::uint32_t id) {
  return count(MapId::cluster_state, inner_.resetCluster(id));
}
Result<bool> CountingStore::withdraw(std::uint32_t endpointId) {
  auto done = inner_.withdraw(endpointId);
  if (!done || *done) {
    [[maybe_unused]] const Status counted =
        count(MapId::endpoint_state, done ? Status() : done.error());
  }
  return done;
}
Status CountingStore::relist(std::uint32_t endpointId) {
  return count(MapId::endpoint_state, inner_.relist(endpointId));
}
Status CountingStore::publish(std::uint32_t serviceId, std::uint32_t descriptorIndex) {
  return count(MapId::heads, inner_.publish(serviceId, descriptorIndex));
}
Status CountingStore::insertFrontend(const VipKey& key, std::uint32_t serviceId) {
  return count(frontendsOf(key), inner_.insertFrontend(key, serviceId));
}
Status CountingStore::eraseFrontend(const VipKey& key) {
  return count(frontendsOf(key), inner_.eraseFrontend(key));
}
Status CountingStore::writeEndpoint(std::uint32_t id, const sm_endpoint& endpoint) {
  return count(MapId::endpoints, inner_.writeEndpoint(id, endpoint));
}
Status CountingStore::writeClusterLimits(std::uint32_t id, const LbCluster& cluster) {
  return count(MapId::cluster_state, inner_.writeClusterLimits(id, cluster));
}
Status CountingStore::writeName(sm_name_kind kind, std::uint32_t id, const std::string& name) {
  return count(MapId::names, inner_.writeName(kind, id, name));
}
Status CountingStore::eraseName(sm_name_kind kind, std::uint32_t id) {
  return count(MapId::names, inner_.eraseName(kind, id));
}
std::uint32_t CountingStore::activeConnections(std::uint32_t endpointId) const {
  return inner_.activeConnections(endpointId);
}

}  // namespace sockmesh
