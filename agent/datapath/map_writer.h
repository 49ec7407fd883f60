// SPDX-License-Identifier: Apache-2.0
// Brings the kernel's tables to LbTables by writing what differs. At every instant each VIP leads
// to its old set of endpoints or to its new set, whole:
//
//   1. endpoints, cells, groups and descriptors of what is new or changed: nobody sees them yet
//   2. one atomic word (heads[id]) per changed service: the switch; new VIPs enter the hash last
//   3. VIPs that are gone leave the hash
//   4. after a grace period: what was replaced is freed, and only then reused
//
// A crash between any two writes leaves at worst unreachable memory. adopt() finds what is
// reachable and frees the rest. Control thread only.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "datapath/counting_store.h"
#include "datapath/endpoint_writer.h"
#include "datapath/grace_period.h"
#include "datapath/holding.h"
#include "datapath/id_registry.h"
#include "datapath/kernel_image.h"
#include "datapath/service_writer.h"
#include "datapath/write_report.h"
#include "lb/tables.h"

namespace sockmesh {

class MapWriter {
 public:
  // `store`, `ids` and `grace` outlive the writer; all ids come from `ids`, which is empty still.
  // `maxServices`: ids 1..maxServices.
  MapWriter(CountingStore& store, IdRegistry& ids, GracePeriod& grace, std::uint32_t maxServices);
  ~MapWriter();
  MapWriter(const MapWriter&) = delete;
  MapWriter& operator=(const MapWriter&) = delete;

  // Takes over what the kernel holds. Call once, before the first apply() and a grace period after
  // the writer of these maps has ended. Removes frontends that lead nowhere and names that nothing
  // uses.
  WriteReport adopt(const KernelImage& image);

  // Makes room for `tables` in the background: true where there is enough already. Otherwise
  // `ready` is called once, by another thread; apply() waits for less then.
  bool makeRoom(const LbTables& tables, std::function<void()> ready);

  // A service that waits for something unknown stays as the kernel has it, with the endpoints and
  // limits of its clusters, if the kernel has it.
  WriteReport apply(std::shared_ptr<const LbTables> tables, const Unknowns& unknowns = {});

  // Frees ids of removed endpoints whose last connection has ended. Call it from time to time.
  WriteReport reap();

  std::size_t services() const { return services_.size(); }

 private:
  void findHeld(const LbTables& tables, const Unknowns& unknowns, WriteReport& report) const;
  std::shared_ptr<const LbTables> withHeld(const std::shared_ptr<const LbTables>& tables,
                                           const std::vector<HeldService>& held);
  void write(const LbTables& tables, WriteReport& report);
  void retireIds(const std::vector<HeldService>& held);

  // What the tables extend to once `tables` are in them, at most.
  TableExtents extentsWith(const LbTables& tables) const;
  bool isApplied(const std::string& name, const std::shared_ptr<const LbCluster>& cluster) const;

  CountingStore& store_;
  IdRegistry& ids_;
  GracePeriod& grace_;
  EndpointWriter endpoints_;
  ServiceWriter services_;
  std::shared_ptr<const LbTables> applied_;
  // Clusters of held services as the kernel has them: the same object while nothing changes.
  std::map<std::string, std::shared_ptr<const LbCluster>> heldClusters_;
  // Continuations that outlive the writer find this gone.
  std::shared_ptr<MapWriter*> self_;
};

}  // namespace sockmesh
