// SPDX-License-Identifier: Apache-2.0
#include "datapath/id_registry.h"

#include <algorithm>
#include <cerrno>
#include <iterator>

#include "datapath/codec.h"

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
  endpointOfId_.clear();
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
    clusterOfId_[id] = name;
    const auto entry = clusters_.try_emplace(name).first;
    Cluster& cluster = entry->second;
    cluster.name = &entry->first;
    cluster.id = id;
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
  const auto twin = cluster->second.endpoints.find(addresses);
  if (twin != cluster->second.endpoints.end()) {
    // Services lead to the one that is listed.
    if (adopted.withdrawn || twin->second.listed) return addOrphan(adopted.id);
    addOrphan(twin->second.id);
    leave(twin->second.id);
    cluster->second.endpoints.erase(twin);
  }
  const auto entry = cluster->second.endpoints.try_emplace(addresses).first;
  Endpoint& known = entry->second;
  known.id = adopted.id;
  known.note(adopted.endpoint);
  known.listed = !adopted.withdrawn;
  enter(cluster->second, entry);
  // The endpoint was withdrawn under an earlier agent, and may still have connections.
  if (adopted.withdrawn) unlist(known);
}

std::size_t IdRegistry::missing(const LbCluster& cluster, Breather& breathe) const {
  const Cluster* known = find(cluster.name);
  if (known == nullptr) return cluster.endpoints.size();
  std::size_t count = 0;
  for (const LbEndpoint& one : cluster.endpoints) {
    count += known->endpoints.contains(addressesOf(one)) ? 0 : 1;
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
  const auto& endpoints = found->second.endpoints;
  std::uint32_t id = SM_NONE;
  for (auto it = endpoints.lower_bound({address, std::nullopt});
       it != endpoints.end() && it->first.address == address; ++it) {
    id = it->second.id;
    if (it->second.listed) break;
  }
  return id;
}

std::uint32_t IdRegistry::endpointId(const std::string& cluster, const SocketAddress& address,
                                     const std::optional<SocketAddress>& otherAddress) const {
  const auto found = clusters_.find(cluster);
  if (found == clusters_.end()) return SM_NONE;
  const auto known = found->second.endpoints.find({address, otherAddress});
  return known == found->second.endpoints.end() ? SM_NONE : known->second.id;
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
  const auto& endpoints = found->second.endpoints;
  auto next = endpoints.begin();
  for (std::size_t i = 0; i < group.hosts.size(); ++i) {
    const Addresses addresses{group.hosts[i], group.otherOf(i)};
    if (next == endpoints.end() || next->first != addresses) next = endpoints.find(addresses);
    if (next != endpoints.end()) ids[i] = (next++)->second.id;
    if (breathe()) next = endpoints.end();  // it may be gone by now
  }
  return ids;
}

std::uint32_t IdRegistry::localityId(const Locality& locality) const {
  const auto found = localities_.find(locality.toString());
  return found == localities_.end() ? SM_NONE : found->second;
}

std::optional<std::pair<std::string, SocketAddress>> IdRegistry::endpointOf(
    std::uint32_t id) const {
  const Place* place = placeOf(id);
  if (place == nullptr) return std::nullopt;
  return std::pair(*place->cluster->name, place->endpoint->first.address);
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
  std::optional<Addresses> last;
  // The cluster may be forgotten where it pauses.
  while (found != nullptr) {
    const auto& endpoints = found->endpoints;
    auto it = last ? endpoints.upper_bound(*last) : endpoints.begin();
    bool paused = false;
    while (it != endpoints.end() && !paused) {
      ids.push_back(it->second.id);
      last = it->first;
      ++it;
      paused = breathe();
    }
    if (!paused) break;
    found = find(cluster);
  }
  return ids;
}

std::optional<LbCluster> IdRegistry::listed(const std::string& cluster) const {
  Breather never;
  return listed(cluster, never);
}

std::optional<LbCluster> IdRegistry::listed(const std::string& cluster, Breather& breathe) const {
  const Cluster* found = find(cluster);
  if (found == nullptr || !found->listed) return std::nullopt;
  const ClusterLimits limits = found->limits.value_or(ClusterLimits{});
  LbCluster out{cluster, {}, limits.connectTimeout, limits.ejection};
  eachEntry(found->endpoints, breathe, [&out](const Addresses& at, const Endpoint& known) {
    if (!known.listed) return;
    out.endpoints.push_back(
        {at.address, known.locality, known.priority, known.weight, known.health, at.otherAddress});
  });
  return out;
}

std::set<std::string> IdRegistry::clusters() const {
  Breather never;
  return clusters(never);
}

std::set<std::string> IdRegistry::clusters(Breather& breathe) const {
  std::set<std::string> names;
  eachEntry(clusters_, breathe, [&names](const std::string& name, const Cluster& cluster) {
    if (cluster.listed) names.insert(names.end(), name);
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

IdRegistry::Cluster* IdRegistry::findCluster(std::uint32_t id) {
  const auto name = clusterOfId_.find(id);
  return name == clusterOfId_.end() ? nullptr : find(name->second);
}

const IdRegistry::Endpoint* IdRegistry::findEndpoint(std::uint32_t id) const {
  const Place* place = placeOf(id);
  return place == nullptr ? nullptr : &place->endpoint->second;
}

const IdRegistry::Place* IdRegistry::placeOf(std::uint32_t id) const {
  const std::size_t page = id / kPageSize;
  if (page >= endpointOfId_.size() || !endpointOfId_[page]) return nullptr;
  const Place& place = (*endpointOfId_[page])[id % kPageSize];
  return place.cluster == nullptr ? nullptr : &place;
}

void IdRegistry::enter(Cluster& cluster, std::map<Addresses, Endpoint>::iterator endpoint) {
  const std::uint32_t id = endpoint->second.id;
  const std::size_t page = id / kPageSize;
  if (page >= endpointOfId_.size()) endpointOfId_.resize(page + 1);
  if (!endpointOfId_[page]) endpointOfId_[page] = std::make_unique<Page>();
  (*endpointOfId_[page])[id % kPageSize] = {&cluster, endpoint};
}

// The id is nobody's from now on.
void IdRegistry::leave(std::uint32_t id) {
  if (placeOf(id) != nullptr) (*endpointOfId_[id / kPageSize])[id % kPageSize] = {};
}

IdRegistry::Endpoint* IdRegistry::findEndpoint(std::uint32_t id) {
  return const_cast<Endpoint*>(std::as_const(*this).findEndpoint(id));
}

Result<IdRegistry::Cluster*> IdRegistry::addCluster(const std::string& name) {
  const auto id = clusterIds_.allocate();
  if (!id) return Error::fromErrno("cluster ids", ENOSPC);
  const auto entry = clusters_.try_emplace(name).first;
  entry->second.id = *id;
  entry->second.name = &entry->first;
  clusterOfId_[*id] = name;
  return &entry->second;
}

Result<IdRegistry::Endpoint*> IdRegistry::addEndpoint(Cluster& cluster,
                                                      const LbEndpoint& endpoint) {
  const auto id = endpointIds_.allocate();
  if (!id) return Error::fromErrno("endpoint ids", ENOSPC);
  const Addresses addresses = addressesOf(endpoint);
  const auto entry = cluster.endpoints.try_emplace(addresses).first;
  entry->second.id = *id;
  entry->second.note(endpoint);
  enter(cluster, entry);
  return &entry->second;
}

Result<std::uint32_t> IdRegistry::addLocality(const std::string& name) {
  const auto id = localityIds_.allocate();
  if (!id) return Error::fromErrno("locality ids", ENOSPC);
  localities_.emplace(name, *id);
  return *id;
}

void IdRegistry::unlist(Endpoint& endpoint) {
  endpoint.listed = false;
  endpoint.retirement = ++retirements_;
  retired_.endpoints.push_back({endpoint.id, endpoint.retirement});
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
  return !known->listed && known->retirement == endpoint.retirement;
}

bool IdRegistry::isClusterStillRetired(const RetiredId& cluster) const {
  const auto name = clusterOfId_.find(cluster.id);
  if (name == clusterOfId_.end()) return false;
  const Cluster& known = clusters_.at(name->second);
  return !known.listed && known.retirement == cluster.retirement;
}

void IdRegistry::removeEndpoint(std::uint32_t id) {
  if (const Place* place = placeOf(id)) {
    place->cluster->endpoints.erase(place->endpoint);
    leave(id);
  }
  orphans_.erase(id);
  lingering_.erase(id);
  endpointIds_.release(id);
}

void IdRegistry::removeCluster(std::uint32_t id) {
  const auto name = clusterOfId_.find(id);
  if (name == clusterOfId_.end()) return;
  clusters_.erase(name->second);
  clusterOfId_.erase(name);
  clusterIds_.release(id);
}

void IdRegistry::removeLocality(const std::string& name) {
  const auto found = localities_.find(name);
  if (found == localities_.end()) return;
  localityIds_.release(found->second);
  localities_.erase(found);
}

}  // namespace sockmesh
