// SPDX-License-Identifier: Apache-2.0
// TableStore on the pinned maps.
#pragma once

#include <cstdint>
#include <map>

#include "datapath/ejection_control.h"
#include "maps/frontend_filter.h"
#include "maps/kernel_maps.h"
#include "writer/page_maker.h"
#include "writer/table_store.h"

namespace sockmesh {

class KernelStore final : public TableStore {
 public:
  // `maps` is opened for writing. The maps and the programs behind `ejections` outlive the store.
  // Brings the filter in front of the frontends into line with the frontends that are there.
  KernelStore(KernelMaps& maps, EjectionControl ejections);
  ~KernelStore() override;

  // The same again: another process may have changed either.
  void adoptFilter();

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
  Status insertRange(const VipKey& key, std::uint32_t serviceId);

  KernelMaps& maps_;
  EjectionControl ejections_;
  FrontendFilter filter_;
  std::uint32_t lastReset_ = 0;  // the highest endpoint id so far
  PageMaker pageMaker_;
};

}  // namespace sockmesh
