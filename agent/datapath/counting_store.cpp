#include "datapath/counting_store.h"

namespace sockmesh {

CountingStore::ByMap CountingStore::zeros() {
  // In the order of enum Map.
  return {{"cells", 0},         {"groups", 0}, {"descriptors", 0}, {"endpoint_state", 0},
          {"cluster_state", 0}, {"heads", 0},  {"frontends4", 0},  {"frontends6", 0},
          {"endpoints", 0},     {"names", 0}};
}

Status CountingStore::count(Map map, Status status) {
  ++(status.ok() ? writes_ : errors_)[map].second;
  total_ += status.ok() ? 1 : 0;
  return status;
}

void CountingStore::reserve(const TableExtents& extents) {
  inner_.reserve(extents);
}
bool CountingStore::makeRoom(const TableExtents& extents, std::function<void()> ready) {
  return inner_.makeRoom(extents, std::move(ready));
}
void CountingStore::prepare(const TableExtents& extents) {
  inner_.prepare(extents);
}
Status CountingStore::writeCells(std::uint32_t first, std::span<const sm_cell> cells) {
  return count(kCells, inner_.writeCells(first, cells));
}
Status CountingStore::writeGroups(std::uint32_t first, std::span<const sm_group> groups) {
  return count(kGroups, inner_.writeGroups(first, groups));
}
Status CountingStore::writeDescriptor(std::uint32_t index, const sm_descriptor& descriptor) {
  return count(kDescriptors, inner_.writeDescriptor(index, descriptor));
}
Status CountingStore::resetEndpoint(std::uint32_t id) {
  return count(kEndpointState, inner_.resetEndpoint(id));
}
Status CountingStore::resetCluster(std::uint32_t id) {
  return count(kClusterState, inner_.resetCluster(id));
}
Result<bool> CountingStore::withdraw(std::uint32_t endpointId) {
  auto done = inner_.withdraw(endpointId);
  if (!done || *done) {
    [[maybe_unused]] const Status counted = count(kEndpointState, done ? Status() : done.error());
  }
  return done;
}
Status CountingStore::relist(std::uint32_t endpointId) {
  return count(kEndpointState, inner_.relist(endpointId));
}
Status CountingStore::publish(std::uint32_t serviceId, std::uint32_t descriptorIndex) {
  return count(kHeads, inner_.publish(serviceId, descriptorIndex));
}
Status CountingStore::insertFrontend(const VipKey& key, std::uint32_t serviceId) {
  return count(key.vip.ip.isV4() ? kFrontends4 : kFrontends6,
               inner_.insertFrontend(key, serviceId));
}
Status CountingStore::eraseFrontend(const VipKey& key) {
  return count(key.vip.ip.isV4() ? kFrontends4 : kFrontends6, inner_.eraseFrontend(key));
}
Status CountingStore::writeEndpoint(std::uint32_t id, const sm_endpoint& endpoint) {
  return count(kEndpoints, inner_.writeEndpoint(id, endpoint));
}
Status CountingStore::writeClusterLimits(std::uint32_t id, const LbCluster& cluster) {
  return count(kClusterState, inner_.writeClusterLimits(id, cluster));
}
Status CountingStore::writeName(sm_name_kind kind, std::uint32_t id, const std::string& name) {
  return count(kNames, inner_.writeName(kind, id, name));
}
Status CountingStore::eraseName(sm_name_kind kind, std::uint32_t id) {
  return count(kNames, inner_.eraseName(kind, id));
}
std::uint32_t CountingStore::activeConnections(std::uint32_t endpointId) const {
  return inner_.activeConnections(endpointId);
}

}  // namespace sockmesh
