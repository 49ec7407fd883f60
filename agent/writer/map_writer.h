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
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "base/breather.h"
#include "lb/tables.h"
#include "maps/kernel_image.h"
#include "writer/counting_store.h"
#include "writer/endpoint_writer.h"
#include "writer/grace_period.h"
#include "writer/held_services.h"
#include "writer/holding.h"
#include "writer/id_registry.h"
#include "writer/service_writer.h"
#include "writer/write_report.h"

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

  // Whether a pass to `tables` looks at more services, endpoints and hosts than `limit`, about. It
  // counts no further than that.
  bool isMoreThan(std::size_t limit, const std::shared_ptr<const LbTables>& tables) const;

  // Makes room for `tables` in the background: true where there is enough already. Otherwise
  // `ready` is called once, by another thread; apply() waits for less then.
  bool makeRoom(const std::shared_ptr<const LbTables>& tables, std::function<void()> ready,
                Breather& breathe);

  // A service that waits for something unknown stays as the kernel has it, with the endpoints and
  // limits of its clusters, if the kernel has it. The cost grows with what differs from the tables
  // before (of any of these functions), with what is not in the kernel yet, and with the services
  // that are held. If `unknowns` changed, all services are looked at.
  //
  // Where `breathe` pauses, grace periods may end and reap() may be called, and nothing else of the
  // writer.
  WriteReport apply(const std::shared_ptr<const LbTables>& tables, const Unknowns& unknowns,
                    Breather& breathe);
  WriteReport apply(const std::shared_ptr<const LbTables>& tables, const Unknowns& unknowns = {});

  // Frees ids of removed endpoints whose last connection has ended. Call it from time to time.
  WriteReport reap();

  std::size_t services() const { return services_.size(); }

 private:
  bool isSuccessor(const LbTables& tables) const;
  void note(const std::shared_ptr<const LbTables>& tables, Breather& breathe);
  void lookAtAll(Breather& breathe);
  void aim(const Unknowns& unknowns, Breather& breathe);
  std::shared_ptr<const LbService> aimOf(const VipKey& key);
  std::shared_ptr<const LbCluster> aimOf(const std::string& cluster, Breather& breathe) const;
  std::optional<HeldService> heldOf(const VipKey& key, const LbService* wanted,
                                    const LbService* inKernel) const;
  void write(WriteReport& report, Breather& breathe);
  void writeClusters(WriteReport& report, Breather& breathe);
  void writeServices(WriteReport& report, Breather& breathe);
  void retireClusters(WriteReport& report, Breather& breathe);
  void retireIds(Breather& breathe);
  void release(IdRegistry::Retired retired);

  struct NamedIds {
    IdSet endpoints;
    IdSet clusters;
  };
  NamedIds namedByOldServices(Breather& breathe) const;

  // What the tables extend to once `tables` are in them, at most. Of these `changes` alone.
  TableExtents extentsWith(const LbTables& tables, const TableChanges& changes,
                           Breather& breathe) const;

  CountingStore& store_;
  IdRegistry& ids_;
  GracePeriod& grace_;
  EndpointWriter endpoints_;
  ServiceWriter services_;
  std::shared_ptr<const LbTables> wanted_;  // the last ones
  Unknowns unknowns_;
  // What differs between `wanted_` and the tables that `aim_` was made from.
  TableChanges noted_;
  // What the kernel is brought to: `wanted_`, with held services and their clusters as the kernel
  // has them.
  std::shared_ptr<const LbTables> aim_ = std::make_shared<const LbTables>();
  HeldServices held_;
  bool first_ = true;  // no apply() yet
  // Where the kernel may differ from `aim_`: what changed, and what could not be written.
  TableChanges due_;
  // Continuations that outlive the writer find this gone.
  std::shared_ptr<MapWriter*> self_;
};

}  // namespace sockmesh
