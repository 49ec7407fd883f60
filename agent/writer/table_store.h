// SPDX-License-Identifier: Apache-2.0
// The seam between the map writer and the kernel. Each write is one call, so that a test can end
// the process between any two writes. Ids and indices are those of the ABI.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "base/breather.h"
#include "base/result.h"
#include "lb/tables.h"
#include "sockmesh_abi.h"

namespace sockmesh {

// How far each table is used: one more than the highest index. 0: nothing of it.
struct TableExtents {
  std::uint32_t descriptors = 0;
  std::uint32_t groups = 0;
  std::uint32_t cells = 0;
  std::uint32_t endpoints = 0;
  std::uint32_t clusters = 0;
};

class TableStore {
 public:
  virtual ~TableStore() = default;

  // Room up to these extents is about to be used. Makes it in few steps instead of one step for
  // each write. Room that could not be made is tried again, and reported, by the write that needs
  // it.
  virtual void reserve(const TableExtents& extents, Breather& breathe) = 0;
  // The same in the background: true where there is room already. Otherwise `ready` is called once,
  // by another thread, when what can be made is made; reserve() takes it then.
  virtual bool makeRoom(const TableExtents& extents, std::function<void()> ready) = 0;
  // The tables are used up to these extents. Makes more room in the background.
  virtual void prepare(const TableExtents& extents) = 0;

  // Unpublished memory: nothing refers to it yet.
  virtual Status writeCells(std::uint32_t first, std::span<const sm_cell> cells) = 0;
  virtual Status writeGroups(std::uint32_t first, std::span<const sm_group> groups) = 0;
  virtual Status writeDescriptor(std::uint32_t index, const sm_descriptor& descriptor) = 0;
  // Clears state and counters of an id that is about to be used for another endpoint (cluster).
  virtual Status resetEndpoint(std::uint32_t id) = 0;
  virtual Status resetCluster(std::uint32_t id) = 0;

  // An endpoint that is no longer listed is not ejected from now on, and does not count as ejected.
  // Returns whether it was ejected.
  virtual Result<bool> withdraw(std::uint32_t endpointId) = 0;
  // The endpoint is listed again, under the same id.
  virtual Status relist(std::uint32_t endpointId) = 0;

  // Published with one atomic word each.
  virtual Status publish(std::uint32_t serviceId, std::uint32_t descriptorIndex) = 0;
  virtual Status insertFrontend(const VipKey& key, std::uint32_t serviceId) = 0;
  virtual Status eraseFrontend(const VipKey& key) = 0;

  // The address of a used id never changes. Weight, health and priority are for people.
  virtual Status writeEndpoint(std::uint32_t id, const sm_endpoint& endpoint) = 0;
  // Writes the words of sm_cluster_state that the agent owns. The counts belong to the programs.
  virtual Status writeClusterLimits(std::uint32_t id, const LbCluster& cluster) = 0;

  virtual Status writeName(sm_name_kind kind, std::uint32_t id, const std::string& name) = 0;
  virtual Status eraseName(sm_name_kind kind, std::uint32_t id) = 0;

  // Connections whose records name this endpoint.
  virtual std::uint32_t activeConnections(std::uint32_t endpointId) const = 0;
};

}  // namespace sockmesh
