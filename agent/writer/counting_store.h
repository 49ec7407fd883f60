// SPDX-License-Identifier: Apache-2.0
// A TableStore that counts, for each map, what its inner store was asked to write and what failed.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "maps/map_names.h"
#include "writer/table_store.h"

namespace sockmesh {

class CountingStore final : public TableStore {
 public:
  // `inner` outlives this.
  explicit CountingStore(TableStore& inner) : inner_(inner) {}

  // By map name, in a fixed order. Control thread.
  using ByMap = std::vector<std::pair<std::string, std::uint64_t>>;
  const ByMap& writes() const { return writes_; }
  const ByMap& errors() const { return errors_; }
  // All writes that were done, of any map.
  std::uint64_t total() const { return total_; }

  void reserve(const TableExtents& extents, Breather& breathe) override;
  bool makeRoom(const TableExtents& extents, std::function<void()> ready) override;
  void prepare(const TableExtents& extents) override;
  Status writeCells(std::uint32_t first, std::span<const sm_cell> cells) override;
  Status writeGroups(std::uint32_t first, std::span<const sm_group> groups) override;
  Status writeDescriptor(std::uint32_t index, const sm_descriptor& descriptor) override;
  Status resetEndpoint(std::uint32_t id) override;
  Status resetCluster(std::uint32_t id) override;
  Result<bool> withdraw(std::uint32_t endpointId) override;
  Status relist(std::uint32_t endpointId) override;
  Status publish(std::uint32_t serviceId, std::uint32_t descriptorIndex) override;
  Status insertFrontend(const VipKey& key, std::uint32_t serviceId) override;
  Status eraseFrontend(const VipKey& key) override;
  Status writeEndpoint(std::uint32_t id, const sm_endpoint& endpoint) override;
  Status writeClusterLimits(std::uint32_t id, const LbCluster& cluster) override;
  Status writeName(sm_name_kind kind, std::uint32_t id, const std::string& name) override;
  Status eraseName(sm_name_kind kind, std::uint32_t id) override;
  std::uint32_t activeConnections(std::uint32_t endpointId) const override;

 private:
  static ByMap zeros();
  Status count(MapId map, Status status);

  TableStore& inner_;
  ByMap writes_ = zeros();
  ByMap errors_ = zeros();
  std::uint64_t total_ = 0;
};

}  // namespace sockmesh
