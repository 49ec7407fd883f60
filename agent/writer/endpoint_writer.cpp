// SPDX-License-Identifier: Apache-2.0
#include "writer/endpoint_writer.h"

#include <vector>

#include "maps/codec.h"

namespace sockmesh {
namespace {

// Ids that are freed in one turn.
constexpr std::size_t kFreedAtOnce = 4096;

sm_endpoint encodeEndpoint(const LbEndpoint& endpoint, std::uint32_t clusterId,
                           std::uint32_t localityId) {
  sm_endpoint out{};
  encodeAddress(endpoint.address.ip, out.addr_be);
  out.port_be = encodePort(endpoint.address.port);
  out.family = endpoint.address.ip.isV4() ? SM_FAMILY_V4 : SM_FAMILY_V6;
  out.eds_health = static_cast<__u8>(endpoint.health);
  out.cluster_id = clusterId;
  out.locality_id = localityId;
  out.weight = endpoint.weight;
  out.priority = endpoint.priority;
  if (endpoint.otherAddress) {
    encodeAddress(endpoint.otherAddress->ip, out.other_addr_be);
    out.other_port_be = encodePort(endpoint.otherAddress->port);
    out.other_family = endpoint.otherAddress->ip.isV4() ? SM_FAMILY_V4 : SM_FAMILY_V6;
  }
  return out;
}

// The kernel has localities as text.
bool sameLocality(const Locality& a, const Locality& b) {
  return a == b || a.toString() == b.toString();
}

bool sameInKernel(const IdRegistry::Endpoint& a, const LbEndpoint& b) {
  return a.weight == b.weight && a.health == b.health && a.priority == b.priority &&
         sameLocality(a.locality, b.locality);
}

}  // namespace

Result<std::uint32_t> EndpointWriter::ensureLocality(const Locality& locality) {
  if (locality.empty()) return SM_NONE;
  if (const auto known = ids_.localityId(locality); known != SM_NONE) return known;
  const std::string name = locality.toString();
  const auto id = ids_.addLocality(name);
  if (!id) return id.error();
  if (auto written = store_.writeName(SM_NAME_LOCALITY, *id, name); !written) {
    ids_.removeLocality(name);
    return written.error();
  }
  return *id;
}

Result<IdRegistry::Cluster*> EndpointWriter::ensureCluster(const LbCluster& wanted) {
  IdRegistry::Cluster* cluster = ids_.find(wanted.name);
  if (cluster == nullptr) {
    auto added = addCluster(wanted.name);
    if (!added) return added.error();
    cluster = *added;
  }
  cluster->listed = true;
  const ClusterLimits limits{wanted.connectTimeout, wanted.ejection};
  if (cluster->limits != limits) {
    if (auto done = store_.writeClusterLimits(cluster->id, wanted); !done) return done.error();
    cluster->limits = limits;
  }
  return cluster;
}

Result<IdRegistry::Cluster*> EndpointWriter::addCluster(const std::string& name) {
  auto added = ids_.addCluster(name);
  if (!added) return added.error();
  const std::uint32_t id = (*added)->id;
  auto done = store_.resetCluster(id);
  if (done) done = store_.writeName(SM_NAME_CLUSTER, id, name);
  if (done) return added;
  ids_.removeCluster(id);
  return done.error();
}

Status EndpointWriter::ensureEndpoint(IdRegistry::Cluster& cluster, const LbEndpoint& wanted) {
  const auto locality = ensureLocality(wanted.locality);
  if (!locality) return locality.error();
  IdRegistry::Endpoint* known = ids_.findEndpoint(cluster, IdRegistry::addressesOf(wanted));
  if (known == nullptr) return addEndpoint(cluster, wanted, *locality);
  IdRegistry::Endpoint& endpoint = *known;
  if (!endpoint.listed) {
    if (auto done = store_.relist(endpoint.id); !done) return done.error();
  }
  endpoint.listed = true;
  endpoint.seenIn = updates_;
  ids_.endLinger(endpoint.id);
  if (sameInKernel(endpoint, wanted)) return {};
  auto done = store_.writeEndpoint(endpoint.id, encodeEndpoint(wanted, cluster.id, *locality));
  if (!done) return done.error();
  endpoint.note(wanted);
  return {};
}

Status EndpointWriter::addEndpoint(IdRegistry::Cluster& cluster, const LbEndpoint& wanted,
                                   std::uint32_t localityId) {
  const auto added = ids_.addEndpoint(cluster, wanted);
  if (!added) return added.error();
  IdRegistry::Endpoint& endpoint = **added;
  auto done = store_.resetEndpoint(endpoint.id);
  if (done) {
    done = store_.writeEndpoint(endpoint.id, encodeEndpoint(wanted, cluster.id, localityId));
  }
  if (!done) {
    ids_.removeEndpoint(endpoint.id);
    return done.error();
  }
  endpoint.listed = true;
  endpoint.seenIn = updates_;
  return {};
}

Status EndpointWriter::update(const LbCluster& wanted, Breather& breathe) {
  const auto cluster = ensureCluster(wanted);
  if (!cluster) return cluster.error().in("cluster " + *wanted.name);
  ++updates_;
  for (const LbEndpoint& endpoint : wanted.endpoints) {
    if (auto done = ensureEndpoint(**cluster, endpoint); !done) {
      return done.error().in("cluster " + *wanted.name + ", endpoint " +
                             endpoint.address.toString());
    }
    breathe();
  }
  const auto stale = [this](const IdRegistry::Endpoint& one) { return one.seenIn != updates_; };
  return unlistWhere(**cluster, stale, breathe);
}

Status EndpointWriter::retire(const std::string& name, Breather& breathe) {
  IdRegistry::Cluster* cluster = ids_.find(name);
  if (cluster == nullptr) return {};
  // Its own id comes last: with it, the cluster may be forgotten.
  const auto all = [](const IdRegistry::Endpoint&) { return true; };
  if (auto done = unlistWhere(*cluster, all, breathe); !done) return done;
  ids_.unlist(*cluster);
  return {};
}

// Retires the listed endpoints that are `stale`.
template <typename Stale>
Status EndpointWriter::unlistWhere(IdRegistry::Cluster& cluster, const Stale& stale,
                                   Breather& breathe) {
  for (std::size_t i = 0; i < cluster.endpoints.size();) {
    IdRegistry::Endpoint& one = *ids_.findEndpoint(cluster.endpoints[i++]);
    const IdRegistry::Addresses addresses = one.addresses;
    if (one.listed && stale(one)) {
      if (auto done = unlist(one); !done) return done.error().in("cluster " + *cluster.name);
    }
    // Endpoints that were retired before may be gone by now.
    if (breathe()) i = ids_.indexAfter(cluster, addresses);
  }
  return {};
}

Status EndpointWriter::unlist(IdRegistry::Endpoint& endpoint) {
  ids_.unlist(endpoint);
  const auto uncounted = store_.withdraw(endpoint.id);
  return uncounted ? Status() : Status(uncounted.error());
}

// The caller has waited for the grace period.
Status EndpointWriter::freeEndpoint(std::uint32_t id) {
  if (store_.activeConnections(id) > 0) {
    ids_.linger(id);
    return {};
  }
  if (auto done = store_.writeEndpoint(id, sm_endpoint{}); !done) return done.error();
  ids_.removeEndpoint(id);
  return {};
}

Status EndpointWriter::freeCluster(std::uint32_t id) {
  const IdRegistry::Cluster* cluster = ids_.findCluster(id);
  // Records of lingering endpoints still count on the cluster's state.
  if (cluster == nullptr || cluster->listed || !cluster->endpoints.empty()) return {};
  if (auto done = store_.eraseName(SM_NAME_CLUSTER, id); !done) return done.error();
  ids_.removeCluster(id);
  return {};
}

// Clusters come after endpoints, because a cluster goes with its last endpoint.
Status EndpointWriter::release(IdRegistry::Retired& retired) {
  for (std::size_t i = 0; i < kFreedAtOnce && !retired.empty(); ++i) {
    auto& entries = retired.endpoints.empty() ? retired.clusters : retired.endpoints;
    const bool isCluster = retired.endpoints.empty();
    const IdRegistry::RetiredId entry = entries.back();
    entries.pop_back();
    const bool still = isCluster ? ids_.isClusterStillRetired(entry) : ids_.isStillRetired(entry);
    if (!still) continue;
    if (auto done = isCluster ? freeCluster(entry.id) : freeEndpoint(entry.id); !done) return done;
  }
  return {};
}

Status EndpointWriter::reap() {
  std::vector<std::uint32_t> part;
  const auto& lingering = ids_.lingering();
  for (auto it = lingering.upper_bound(reapedUpTo_);
       it != lingering.end() && part.size() < kFreedAtOnce; ++it) {
    part.push_back(*it);
  }
  reapedUpTo_ = part.size() < kFreedAtOnce ? 0 : part.back();
  for (const std::uint32_t id : part) {
    const auto owner = ids_.endpointOf(id);
    const std::uint32_t cluster = owner ? ids_.clusterId(owner->first) : SM_NONE;
    if (auto done = freeEndpoint(id); !done) return done.error();
    if (cluster == SM_NONE) continue;
    if (auto done = freeCluster(cluster); !done) return done.error();
  }
  return {};
}

}  // namespace sockmesh
