// SPDX-License-Identifier: Apache-2.0
// Writes services into the kernel: cells, groups, descriptors, heads and the VIPs that lead to
// them, each in the order that map_writer.h promises. Control thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>

#include "base/breather.h"
#include "lb/tables.h"
#include "maps/kernel_image.h"
#include "writer/grace_period.h"
#include "writer/id_registry.h"
#include "writer/shared_ranges.h"
#include "writer/table_store.h"
#include "writer/write_report.h"

namespace sockmesh {

// The service and its tables for sockets that reach one family alone.
template <typename Visit>
void eachOf(const LbService& service, const Visit& visit) {
  visit(service);
  if (service.ipv4Only) visit(*service.ipv4Only);
  if (service.ipv6Only) visit(*service.ipv6Only);
}

class ServiceWriter {
 public:
  // `store`, `grace` and `ids` outlive the writer. `maxServices`: ids 1..maxServices.
  ServiceWriter(TableStore& store, GracePeriod& grace, const IdRegistry& ids,
                std::uint32_t maxServices);
  ~ServiceWriter();
  ServiceWriter(const ServiceWriter&) = delete;
  ServiceWriter& operator=(const ServiceWriter&) = delete;

  // Takes over what the kernel holds, after `ids` did. Removes frontends that lead nowhere and
  // names that nothing uses; `report` gets the errors.
  void adopt(const KernelImage& image, WriteReport& report);

  // Brings the VIP to `service`, whose endpoints have ids already. On an Error it stays as it was.
  // Meanwhile no one else calls this or remove().
  Status install(const VipKey& key, const std::shared_ptr<const LbService>& service,
                 WriteReport& report, Breather& breathe);
  // Takes the VIP away, if it is there. On an Error it stays.
  Status remove(const VipKey& key, WriteReport& report);

  // Of descriptors, groups and cells: what they extend to now, and once these services of `tables`
  // are in them, at most (0: no more than now).
  TableExtents extents() const;
  TableExtents extentsWith(const LbTables& tables, const std::set<VipKey>& keys,
                           Breather& breathe) const;

  // The service as the kernel has it; null where it has none for this VIP.
  std::shared_ptr<const LbService> inKernel(const VipKey& key) const;
  std::size_t size() const { return services_.size(); }
  // Calls `visit` with the key and the service of each VIP, in order.
  template <typename Visit>
  void each(const Visit& visit) const {
    for (const auto& [key, installed] : services_) visit(key, *installed.service);
  }

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

  Status add(const VipKey& key, const std::shared_ptr<const LbService>& service, Breather& breathe);
  Status replace(Installed& installed, const std::shared_ptr<const LbService>& service,
                 Breather& breathe);
  Status enter(const VipKey& key, const Installed& built);
  Result<Installed> build(std::uint32_t id, const std::shared_ptr<const LbService>& service,
                          Breather& breathe);
  Status buildAll(const LbService& service, Installed& built, Breather& breathe);
  Status buildTables(std::uint32_t id, const LbService& service, const Installed& others,
                     Tables& built, Breather& breathe);
  Result<std::uint32_t> buildGroups(const LbService& service, Breather& breathe);
  Result<sm_group> buildGroup(const LbGroup& group, Breather& breathe);
  Result<std::uint32_t> acquireHosts(const LbGroup& group, Breather& breathe);

  void freeBuilt(const Installed& built);
  void freeTables(const Tables& built);
  void releaseGroups(std::uint32_t groupFirst);
  // Frees what was installed, and its id.
  void retireWithId(Installed gone);

  void adoptService(const VipKey& key, const ImageService& image, WriteReport& report);
  Result<Tables> adoptTables(const ImageService& image);

  TableStore& store_;
  GracePeriod& grace_;
  const IdRegistry& ids_;
  IdAllocator serviceIds_;
  IdAllocator descriptorIds_;
  SharedRanges<sm_cell> cells_;
  SharedRanges<sm_group> groups_;
  std::map<VipKey, Installed> services_;
  // Continuations that outlive the writer find this gone.
  std::shared_ptr<ServiceWriter*> self_;
};

}  // namespace sockmesh
