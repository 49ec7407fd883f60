// SPDX-License-Identifier: Apache-2.0
#include "writer/id_registry.h"

#include <algorithm>
#include <cerrno>
#include <iterator>

#include "maps/codec.h"

namespace sockmesh {
namespace {

constexpr std::uint32_t kMaxEndpoints = SM_ENDPOINT_PAGES << SM_ENDPOINT_PAGE_BITS;
constexpr std::uint32_t kMaxClusters = SM_CLUSTER_PAGES << SM_CLUSTER_PAGE_BITS;

ClusterLimits decodeLimits(const sm_cluster_state& state) {
  ClusterLimits cluster;
  cluster.connectTimeout = Nanos(state.connect_timeout_ns);
  cluster.ejection = decodeEjectionRules(state);
  return cluster;
}

// Calls `visit` with the entries of `map`, in order. Others may be erased where `breathe` pauses;
// `map` itself stays.
template <typename Map, typename Visit>
void eachEntry(const Map& map, Breather& breathe, const Visit& visit) {
  for (auto it = map.begin(); it != map.end();) {
    visit(it->first, it->second);
    const auto key = it->first;
    it = breathe() ? map.upper_bound(key) : std::next(it);
  }
}

}  // namespace

IdRegistry::IdRegistry()
    : endpointIds_(1, kMaxEndpoints), clusterIds_(1, kMaxClusters), localityIds_(1, UINT32_MAX) {}

void IdRegistry::forget() {
  endpointIds_ = IdAllocator(1, kMaxEndpoints);
  clusterIds_ = IdAllocator(1, kMaxClusters);
  localityIds_ = IdAllocator(1, UINT32_MAX);
  clusters_.clear();
  clusterOfId_.clear();
  pages_.clear();
  retirementOf_.clear();
  localities_.clear();
  orphans_.clear();
  retired_ = {};
  lingering_.clear();
}

void IdRegistry::adopt(const KernelImage& image) {
  for (const auto& [id, name] : image.localityNames) {
    if (localityIds_.take(id)) localities_.emplace(name, id);
  }
  adoptClusters(image);
  for (const auto& [id, adopted] : image.endpoints) adoptEndpoint(adopted);
}

void IdRegistry::adoptClusters(const KernelImage& image) {
  for (const auto& [id, name] : image.clusterNames) {
    if (!clusterIds_.take(id)) continue;
    const auto entry = clusters_.try_emplace(name).first;
    Cluster& cluster = entry->second;
    cluster.name = entry->first;
    enter(cluster, id);
    cluster.listed = true;
    const auto state = image.clusterStates.find(id);
    if (state != image.clusterStates.end()) cluster.limits = decodeLimits(state->second);
  }
}

void IdRegistry::addOrphan(std::uint32_t endpointId) {
  orphans_.insert(endpointId);
  retired_.endpoints.push_back({endpointId, 0});
}

void IdRegistry::adoptEndpoint(const ImageEndpoint& adopted) {
  endpointIds_.take(adopted.id);
  const auto cluster = clusters_.find(adopted.cluster);
  const Addresses addresses = addressesOf(adopted.endpoint);
  if (cluster == clusters_.end()) return addOrphan(adopted.id);
  const Endpoint* twin = findEndpoint(cluster->second, addresses);
  if (twin != nullptr) {
    // Services lead to the one that is listed.
    if (adopted.withdrawn || twin->listed) return addOrphan(adopted.id);
    addOrphan(twin->id);
    leave(twin->id);
  }
  Endpoint& known = enter(cluster->second, adopted.id, addresses);
  known.note(adopted.endpoint);
  known.listed = !adopted.withdrawn;
  // The endpoint was withdrawn under an earlier agent, and may still have connections.
  if (adopted.withdrawn) unlist(known);
}

std::size_t IdRegistry::missing(const LbCluster& cluster, Breather& breathe) const {
  const Cluster* known = find(cluster.name);
  if (known == nullptr) return cluster.endpoints.size();
  std::size_t count = 0;
  for (const LbEndpoint& one : cluster.endpoints) {
    count += findEndpoint(*known, addressesOf(one)) != nullptr ? 0 : 1;
    // The cluster may be forgotten meanwhile.
    if (breathe()) known = find(cluster.name);
    if (known == nullptr) return cluster.endpoints.size();
  }
  return count;
}

std::uint32_t IdRegistry::clusterId(const std::string& cluster) const {
  const auto found = clusters_.find(cluster);
  return found == clusters_.end() ? SM_NONE : found->second.id;
}

std::uint32_t IdRegistry::endpointId(const std::string& cluster,
                                     const SocketAddress& address) const {
  const auto found = clusters_.find(cluster);
  if (found == clusters_.end()) return SM_NONE;
  const std::vector<std::uint32_t>& ids = found->second.endpoints;
  std::uint32_t id = SM_NONE;
  for (auto i = indexOf(found->second, {address, std::nullopt}); i < ids.size(); ++i) {
    const Endpoint& endpoint = at(ids[i]);
    if (endpoint.addresses.address != address) break;
    id = endpoint.id;
    if (endpoint.listed) break;
  }
  return id;
}

std::uint32_t IdRegistry::endpointId(const std::string& cluster, const SocketAddress& address,
                                     const std::optional<SocketAddress>& otherAddress) const {
  const auto found = clusters_.find(cluster);
  if (found == clusters_.end()) return SM_NONE;
  const Endpoint* known = findEndpoint(found->second, {address, otherAddress});
  return known == nullptr ? SM_NONE : known->id;
}

std::vector<std::uint32_t> IdRegistry::endpointIds(const LbGroup& group) const {
  Breather never;
  return endpointIds(group, never);
}

// Hosts mostly come in the order of their addresses: the next one is looked at before a search.
std::vector<std::uint32_t> IdRegistry::endpointIds(const LbGroup& group, Breather& breathe) const {
  std::vector<std::uint32_t> ids(group.hosts.size(), SM_NONE);
  const auto found = clusters_.find(group.cluster);
  if (found == clusters_.end()) return ids;
  const Cluster& cluster = found->second;
  std::size_t next = 0;
  for (std::size_t i = 0; i < group.hosts.size(); ++i, breathe()) {
    const Addresses addresses{group.hosts[i], group.otherOf(i)};
    const auto isNext = [&] {
      return next < cluster.endpoints.size() && at(cluster.endpoints[next]).addresses == addresses;
    };
    if (!isNext()) next = indexOf(cluster, addresses);
    if (isNext()) ids[i] = cluster.endpoints[next++];
  }
  return ids;
}

std::uint32_t IdRegistry::localityId(const Locality& locality) const {
  const auto found = localities_.find(locality.toString());
  return found == localities_.end() ? SM_NONE : found->second;
}

std::optional<std::pair<std::string, SocketAddress>> IdRegistry::endpointOf(
    std::uint32_t id) const {
  const Endpoint* endpoint = findEndpoint(id);
  if (endpoint == nullptr) return std::nullopt;
  return std::pair(*endpoint->cluster->name, endpoint->addresses.address);
}

std::vector<std::uint32_t> IdRegistry::endpointsOf(const std::string& cluster) const {
  Breather never;
  return endpointsOf(cluster, never);
}

std::vector<std::uint32_t> IdRegistry::endpointsOf(const std::string& cluster,
                                                   Breather& breathe) const {
  std::vector<std::uint32_t> ids;
  const Cluster* found = find(cluster);
  if (found == nullptr) return ids;
  ids.reserve(found->endpoints.size());
  eachEndpoint(cluster, breathe, [&ids](const Endpoint& one) { ids.push_back(one.id); });
  return ids;
}

// Calls `visit` with the cluster's endpoints, in order. Some may be removed where `breathe` pauses,
// and the cluster may be forgotten.
template <typename Visit>
void IdRegistry::eachEndpoint(const std::string& cluster, Breather& breathe,
                              const Visit& visit) const {
  const Cluster* found = find(cluster);
  for (std::size_t i = 0; found != nullptr && i < found->endpoints.size();) {
    const Endpoint& one = at(found->endpoints[i++]);
    const Addresses addresses = one.addresses;
    visit(one);
    if (!breathe()) continue;
    found = find(cluster);
    if (found != nullptr) i = indexAfter(*found, addresses);
  }
}

std::optional<LbCluster> IdRegistry::listed(const std::string& cluster) const {
  Breather never;
  return listed(cluster, never);
}

std::optional<LbCluster> IdRegistry::listed(const std::string& cluster, Breather& breathe) const {
  const Cluster* found = find(cluster);
  if (found == nullptr || !found->listed) return std::nullopt;
  const ClusterLimits limits = found->limits.value_or(ClusterLimits{});
  std::vector<LbEndpoint> endpoints;
  eachEndpoint(cluster, breathe, [&](const Endpoint& known) {
    if (!known.listed) return;
    endpoints.push_back({known.addresses.address, known.locality, known.priority, known.weight,
                         known.health, known.addresses.otherAddress});
  });
  return LbCluster{cluster, LbEndpoints(endpoints), limits.connectTimeout, limits.ejection};
}

std::set<std::string> IdRegistry::clusters() const {
  Breather never;
  return clusters(never);
}

std::set<std::string> IdRegistry::clusters(Breather& breathe) const {
  std::set<std::string> names;
  eachEntry(clusters_, breathe, [&names](const Name& name, const Cluster& cluster) {
    if (cluster.listed) names.insert(names.end(), *name);
  });
  return names;
}

const IdRegistry::Cluster* IdRegistry::find(const std::string& cluster) const {
  const auto found = clusters_.find(cluster);
  return found == clusters_.end() ? nullptr : &found->second;
}

IdRegistry::Cluster* IdRegistry::find(const std::string& cluster) {
  return const_cast<Cluster*>(std::as_const(*this).find(cluster));
}

const IdRegistry::Endpoint* IdRegistry::findEndpoint(std::uint32_t id) const {
  const std::size_t page = id / kPageSize;
  if (page >= pages_.size() || !pages_[page]) return nullptr;
  const Endpoint& endpoint = at(id);
  return endpoint.cluster == nullptr ? nullptr : &endpoint;
}

// Index of the first endpoint that is not before these addresses.
std::size_t IdRegistry::indexOf(const Cluster& cluster, const Addresses& addresses) const {
  const auto found = std::ranges::lower_bound(
      cluster.endpoints, addresses, {},
      [this](std::uint32_t id) -> const Addresses& { return at(id).addresses; });
  return static_cast<std::size_t>(found - cluster.endpoints.begin());
}

std::size_t IdRegistry::indexAfter(const Cluster& cluster, const Addresses& addresses) const {
  const std::size_t index = indexOf(cluster, addresses);
  const bool there =
      index < cluster.endpoints.size() && at(cluster.endpoints[index]).addresses == addresses;
  return there ? index + 1 : index;
}

const IdRegistry::Endpoint* IdRegistry::findEndpoint(const Cluster& cluster,
                                                     const Addresses& addresses) const {
  const std::size_t index = indexOf(cluster, addresses);
  if (index == cluster.endpoints.size()) return nullptr;
  const Endpoint& endpoint = at(cluster.endpoints[index]);
  return endpoint.addresses == addresses ? &endpoint : nullptr;
}

IdRegistry::Endpoint* IdRegistry::findEndpoint(const Cluster& cluster, const Addresses& addresses) {
  return const_cast<Endpoint*>(std::as_const(*this).findEndpoint(cluster, addresses));
}

// The id is the cluster's from now on. An id that the cluster had is nobody's.
void IdRegistry::enter(Cluster& cluster, std::uint32_t id) {
  if (findCluster(cluster.id) == &cluster) clusterOfId_[cluster.id] = nullptr;
  if (id >= clusterOfId_.size()) clusterOfId_.resize(id + std::size_t{1});
  clusterOfId_[id] = &cluster;
  cluster.id = id;
}

// The id is this endpoint's from now on.
IdRegistry::Endpoint& IdRegistry::enter(Cluster& cluster, std::uint32_t id,
                                        const Addresses& addresses) {
  const std::size_t page = id / kPageSize;
  if (page >= pages_.size()) pages_.resize(page + 1);
  if (!pages_[page]) pages_[page] = std::make_unique<Page>();
  Endpoint& endpoint = (*pages_[page])[id % kPageSize];
  endpoint = {};
  endpoint.cluster = &cluster;
  endpoint.addresses = addresses;
  endpoint.id = id;
  const auto index = static_cast<std::ptrdiff_t>(indexOf(cluster, addresses));
  cluster.endpoints.insert(cluster.endpoints.begin() + index, id);
  return endpoint;
}

// The id is nobody's from now on.
void IdRegistry::leave(std::uint32_t id) {
  Endpoint* endpoint = findEndpoint(id);
  if (endpoint == nullptr) return;
  std::vector<std::uint32_t>& ids = endpoint->cluster->endpoints;
  ids.erase(ids.begin() +
            static_cast<std::ptrdiff_t>(indexOf(*endpoint->cluster, endpoint->addresses)));
  *endpoint = {};
  retirementOf_.erase(id);
}

IdRegistry::Endpoint* IdRegistry::findEndpoint(std::uint32_t id) {
  return const_cast<Endpoint*>(std::as_const(*this).findEndpoint(id));
}

Result<IdRegistry::Cluster*> IdRegistry::addCluster(const std::string& name) {
  const auto id = clusterIds_.allocate();
  if (!id) return Error::fromErrno("cluster ids", ENOSPC);
  const auto entry = clusters_.try_emplace(name).first;
  entry->second.name = entry->first;
  enter(entry->second, *id);
  return &entry->second;
}

Result<IdRegistry::Endpoint*> IdRegistry::addEndpoint(Cluster& cluster,
                                                      const LbEndpoint& endpoint) {
  const auto id = endpointIds_.allocate();
  if (!id) return Error::fromErrno("endpoint ids", ENOSPC);
  Endpoint& added = enter(cluster, *id, addressesOf(endpoint));
  added.note(endpoint);
  return &added;
}

Result<std::uint32_t> IdRegistry::addLocality(const std::string& name) {
  const auto id = localityIds_.allocate();
  if (!id) return Error::fromErrno("locality ids", ENOSPC);
  localities_.emplace(name, *id);
  return *id;
}

void IdRegistry::unlist(Endpoint& endpoint) {
  endpoint.listed = false;
  retirementOf_[endpoint.id] = ++retirements_;
  retired_.endpoints.push_back({endpoint.id, retirements_});
}

void IdRegistry::unlist(Cluster& cluster) {
  cluster.listed = false;
  cluster.retirement = ++retirements_;
  retired_.clusters.push_back({cluster.id, cluster.retirement});
}

void IdRegistry::keepRetired(Retired& retired, const IdSet& endpoints, const IdSet& clusters,
                             Breather& breathe) {
  const auto keep = [&](auto& from, auto& to, const IdSet& named) {
    std::erase_if(from, [&](const RetiredId& entry) {
      breathe();
      if (!named.contains(entry.id)) return false;
      to.push_back(entry);
      return true;
    });
  };
  keep(retired.endpoints, retired_.endpoints, endpoints);
  keep(retired.clusters, retired_.clusters, clusters);
}

bool IdRegistry::isStillRetired(const RetiredId& endpoint) const {
  const Endpoint* known = findEndpoint(endpoint.id);
  if (known == nullptr) return orphans_.contains(endpoint.id);
  if (known->listed) return false;
  const auto last = retirementOf_.find(endpoint.id);
  return last != retirementOf_.end() && last->second == endpoint.retirement;
}

bool IdRegistry::isClusterStillRetired(const RetiredId& cluster) const {
  const Cluster* known = findCluster(cluster.id);
  return known != nullptr && !known->listed && known->retirement == cluster.retirement;
}

void IdRegistry::removeEndpoint(std::uint32_t id) {
  leave(id);
  orphans_.erase(id);
  lingering_.erase(id);
  endpointIds_.release(id);
}

void IdRegistry::removeCluster(std::uint32_t id) {
  const Cluster* cluster = findCluster(id);
  if (cluster == nullptr) return;
  clusterOfId_[id] = nullptr;
  clusters_.erase(clusters_.find(cluster->name));
  clusterIds_.release(id);
}

void IdRegistry::removeLocality(const std::string& name) {
  const auto found = localities_.find(name);
  if (found == localities_.end()) return;
  localityIds_.release(found->second);
  localities_.erase(found);
}

}  // namespace sockmesh
