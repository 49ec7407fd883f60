// SPDX-License-Identifier: Apache-2.0
// Writes clusters and endpoints into the kernel: their names, limits, addresses and states, under
// the ids that the registry gives. Control thread.
#pragma once

#include <cstdint>
#include <string>

#include "base/breather.h"
#include "writer/id_registry.h"
#include "writer/table_store.h"

namespace sockmesh {

class EndpointWriter {
 public:
  // Both outlive this. No one else changes `ids`.
  EndpointWriter(TableStore& store, IdRegistry& ids) : store_(store), ids_(ids) {}

  // Brings the kernel's endpoints of `cluster` to what it lists: new ids are written, changed
  // weights and health noted, those no longer listed become retired. An Error names the cluster
  // and, where it is about one, the endpoint; the rest of the cluster may be written or not.
  // Meanwhile no one else changes the cluster, except that ids of retired endpoints may be freed.
  Status update(const LbCluster& cluster, Breather& breathe);
  // Retires all endpoints of a cluster that is gone, and the cluster's own id.
  Status retire(const std::string& cluster, Breather& breathe);

  // Frees the ids that are still retired and have no connections; the others linger, and reap()
  // tries them again. Call it a grace period after the last published table named them. Takes from
  // the end of `retired` what it dealt with: a part, so that a call is short. Call it until
  // `retired` is empty.
  Status release(IdRegistry::Retired& retired);
  // Looks at a part of those that linger, and at the next part in the next call.
  Status reap();

 private:
  Result<IdRegistry::Cluster*> ensureCluster(const LbCluster& wanted);
  Result<IdRegistry::Cluster*> addCluster(const std::string& name);
  Status ensureEndpoint(IdRegistry::Cluster& cluster, const LbEndpoint& wanted);
  Status addEndpoint(IdRegistry::Cluster& cluster, const LbEndpoint& wanted,
                     std::uint32_t localityId);
  Result<std::uint32_t> ensureLocality(const Locality& locality);
  template <typename Stale>
  Status unlistWhere(IdRegistry::Cluster& cluster, const Stale& stale, Breather& breathe);
  Status unlist(IdRegistry::Endpoint& endpoint);
  Status freeEndpoint(std::uint32_t id);
  Status freeCluster(std::uint32_t id);

  TableStore& store_;
  IdRegistry& ids_;
  std::uint64_t updates_ = 0;
  std::uint32_t reapedUpTo_ = 0;  // the highest id that the last reap() looked at
};

}  // namespace sockmesh
