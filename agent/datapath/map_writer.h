// Brings the kernel's tables from what they hold to LbTables, by difference, so that at every
// instant each VIP resolves to its old or its new endpoint set, whole:
//
//   1. endpoints, cells, groups and descriptors of what is new or changed: nobody sees them yet
//   2. one atomic word (heads[id]) per changed service: the switch; new VIPs enter the hash last
//   3. VIPs that are gone leave the hash
//   4. after a grace period: what was replaced is freed, and only then reused
//
// A crash between any two writes leaves unreachable memory at worst; adopt() finds what is
// reachable and frees the rest. Control thread only.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "datapath/endpoint_ids.h"
#include "datapath/grace_period.h"
#include "datapath/holding.h"
#include "datapath/kernel_image.h"
#include "datapath/shared_runs.h"
#include "datapath/table_store.h"
#include "lb/tables.h"

namespace sockmesh {

struct WriteReport {
  std::uint64_t writes = 0;  // calls of the store that changed something
  std::uint32_t servicesAdded = 0;
  std::uint32_t servicesChanged = 0;
  std::uint32_t servicesRemoved = 0;
  // One line for each service or cluster that did not fit or was refused by the kernel; it keeps
  // its old state, and the next apply() tries again.
  std::vector<std::string> errors;
  // Services that stay as the kernel has them for now.
  std::vector<HeldService> held;
  // What apply() aimed at: the tables that it was given, with what is held in place of what was
  // compiled for it.
  std::shared_ptr<const LbTables> tables;
};

class MapWriter {
 public:
  // `store` and `grace` outlive the writer. `maxServices`: ids 1..maxServices.
  MapWriter(TableStore& store, GracePeriod& grace, std::uint32_t maxServices);
  ~MapWriter();
  MapWriter(const MapWriter&) = delete;
  MapWriter& operator=(const MapWriter&) = delete;

  // Takes over what the kernel holds; call once, before the first apply() and a grace period after
  // whoever wrote it ended. Removes frontends that lead nowhere and names that nothing uses.
  WriteReport adopt(const KernelImage& image);

  // Makes room for `tables` in the background: true where there is enough already. Otherwise
  // `ready` is called once, by another thread; apply() waits for less then.
  bool makeRoom(const LbTables& tables, std::function<void()> ready);

  // A service that waits for what is unknown stays as the kernel has it, with the endpoints and
  // limits of its clusters, where the kernel decides about it at all.
  WriteReport apply(std::shared_ptr<const LbTables> tables, const Unknowns& unknowns = {});

  // Frees ids of removed endpoints whose last connection has ended; call it now and then.
  WriteReport reap();

  const EndpointIds& ids() const { return ids_; }
  std::size_t services() const { return services_.size(); }

 private:
  // A descriptor and what it leads to.
  struct Tables {
    std::uint32_t descriptorIndex = 0;  // 0: none
    std::uint32_t groupFirst = 0;
    std::uint32_t pickCell = 0;
  };
  struct Installed {
    std::uint32_t id = 0;
    Tables tables;
    Tables ipv4Only;
    Tables ipv6Only;
    std::shared_ptr<const LbService> service;
  };

  Status install(const VipKey& key, const std::shared_ptr<const LbService>& service,
                 WriteReport& report);
  Result<Installed> build(std::uint32_t id, const LbService& service);
  Status buildAll(const LbService& service, Installed& built);
  Status buildTables(std::uint32_t id, const LbService& service, const Installed& others,
                     Tables& built);
  Result<std::uint32_t> buildGroups(const LbService& service);
  Result<sm_group> buildGroup(const LbGroup& group);
  Status enter(const VipKey& key, Installed& built);

  // What the tables extend to once `tables` are in them, at most.
  TableExtents extentsWith(const LbTables& tables) const;
  bool isApplied(const std::string& name, const std::shared_ptr<const LbCluster>& cluster) const;

  void freeBuilt(const Installed& built);
  void freeTables(const Tables& built);
  void releaseGroups(std::uint32_t groupFirst);
  void removeGone(const LbTables& tables, WriteReport& report);
  void retire(Installed replaced, bool withId);
  void retireIds(const std::vector<HeldService>& held);

  void findHeld(const LbTables& tables, const Unknowns& unknowns, WriteReport& report) const;
  std::shared_ptr<const LbTables> withHeld(const std::shared_ptr<const LbTables>& tables,
                                           const std::vector<HeldService>& held);

  void adoptService(const VipKey& key, const ImageService& image, WriteReport& report);
  Result<Tables> adoptTables(const ImageService& image);
  void note(const Status& status, WriteReport& report);

  TableStore& store_;
  GracePeriod& grace_;
  std::uint64_t writes_ = 0;  // of the shared runs and descriptors, moved to reports
  EndpointIds ids_;
  IdAllocator serviceIds_;
  IdAllocator descriptorIds_;
  SharedRuns<sm_cell> cells_;
  SharedRuns<sm_group> groups_;
  std::map<VipKey, Installed> services_;
  std::shared_ptr<const LbTables> applied_;
  // Clusters of held services as the kernel has them: the same object while nothing changes.
  std::map<std::string, std::shared_ptr<const LbCluster>> heldClusters_;
  // Continuations that outlive the writer find this gone.
  std::shared_ptr<MapWriter*> self_;
};

}  // namespace sockmesh
