#include "datapath/endpoint_ids.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "datapath/codec.h"

namespace sockmesh {
namespace {

constexpr std::uint32_t kMaxEndpoints = SM_ENDPOINT_PAGES << SM_ENDPOINT_PAGE_BITS;
constexpr std::uint32_t kMaxClusters = SM_CLUSTER_PAGES << SM_CLUSTER_PAGE_BITS;

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

bool sameLimits(const LbCluster& a, const LbCluster& b) {
  return a.connectTimeout == b.connectTimeout && a.ejection == b.ejection;
}

LbCluster decodeLimits(const sm_cluster_state& state) {
  LbCluster cluster;
  cluster.connectTimeout = Nanos(state.connect_timeout_ns);
  cluster.ejection = decodeEjectionRules(state);
  return cluster;
}

bool sameInKernel(const LbEndpoint& a, const LbEndpoint& b) {
  return a.weight == b.weight && a.health == b.health && a.priority == b.priority &&
         a.locality.toString() == b.locality.toString();
}

}  // namespace

EndpointIds::EndpointIds(TableStore& store)
    : store_(store),
      endpointIds_(1, kMaxEndpoints),
      clusterIds_(1, kMaxClusters),
      localityIds_(1, UINT32_MAX) {}

void EndpointIds::adopt(const KernelImage& image) {
  for (const auto& [id, name] : image.localityNames) {
    if (localityIds_.take(id)) localities_.emplace(name, id);
  }
  for (const auto& [id, name] : image.clusterNames) {
    if (!clusterIds_.take(id)) continue;
    clusterOfId_[id] = name;
    const auto entry = clusters_.try_emplace(name).first;
    KnownCluster& cluster = entry->second;
    cluster.name = &entry->first;
    cluster.id = id;
    cluster.listed = true;
    if (const auto state = image.clusterStates.find(id); state != image.clusterStates.end()) {
      cluster.written = decodeLimits(state->second);
      cluster.limitsKnown = true;
    }
  }
  for (const auto& [id, adopted] : image.endpoints) {
    endpointIds_.take(id);
    const auto cluster = clusters_.find(adopted.cluster);
    const Addresses addresses = addressesOf(adopted.endpoint);
    if (cluster == clusters_.end() || cluster->second.endpoints.contains(addresses)) {
      orphans_.insert(id);
      retired_.endpoints.push_back({id, 0});
      continue;
    }
    Known known{id, adopted.endpoint, !adopted.withdrawn, 0, 0};
    if (adopted.withdrawn) {
      // It left while an earlier agent was there, whose connections it may have still.
      known.retirement = ++retirements_;
      retired_.endpoints.push_back({id, known.retirement});
    }
    cluster->second.endpoints[addresses] = known;
    endpointOfId_[id] = {&cluster->first, addresses};
  }
}

Result<std::uint32_t> EndpointIds::ensureLocality(const Locality& locality, std::uint64_t& writes) {
  if (locality.empty()) return SM_NONE;
  const std::string name = locality.toString();
  if (const auto known = localities_.find(name); known != localities_.end()) return known->second;
  const auto id = localityIds_.allocate();
  if (!id) return Error::fromErrno("locality ids", ENOSPC);
  if (auto written = store_.writeName(SM_NAME_LOCALITY, *id, name); !written) {
    localityIds_.release(*id);
    return written.error();
  }
  ++writes;
  localities_.emplace(name, *id);
  return *id;
}

Status EndpointIds::ensureCluster(const LbCluster& wanted, KnownCluster*& out,
                                  std::uint64_t& writes) {
  auto found = clusters_.find(wanted.name);
  if (found == clusters_.end()) {
    const auto id = clusterIds_.allocate();
    if (!id) return Error::fromErrno("cluster ids", ENOSPC);
    auto done = store_.resetCluster(*id);
    if (done) done = store_.writeName(SM_NAME_CLUSTER, *id, wanted.name);
    if (!done) {
      clusterIds_.release(*id);
      return done.error();
    }
    writes += 2;
    found = clusters_.emplace(wanted.name, KnownCluster{}).first;
    found->second.id = *id;
    found->second.name = &found->first;
    clusterOfId_[*id] = wanted.name;
  }
  KnownCluster& cluster = found->second;
  cluster.listed = true;
  if (!cluster.limitsKnown || !sameLimits(cluster.written, wanted)) {
    if (auto done = store_.writeClusterLimits(cluster.id, wanted); !done) return done.error();
    ++writes;
    cluster.written = wanted;
    cluster.written.endpoints.clear();
    cluster.limitsKnown = true;
  }
  out = &cluster;
  return {};
}

Status EndpointIds::ensureEndpoint(KnownCluster& cluster, const LbEndpoint& wanted,
                                   std::uint64_t& writes) {
  const auto locality = ensureLocality(wanted.locality, writes);
  if (!locality) return locality.error();
  const Addresses addresses = addressesOf(wanted);
  if (const auto known = cluster.endpoints.find(addresses); known != cluster.endpoints.end()) {
    if (!known->second.listed) {
      if (auto done = store_.relist(known->second.id); !done) return done.error();
      ++writes;
    }
    known->second.listed = true;
    known->second.seenIn = updates_;
    lingering_.erase(known->second.id);
    if (sameInKernel(known->second.endpoint, wanted)) return {};
    auto done =
        store_.writeEndpoint(known->second.id, encodeEndpoint(wanted, cluster.id, *locality));
    if (!done) return done.error();
    ++writes;
    known->second.endpoint = wanted;
    return {};
  }
  const auto id = endpointIds_.allocate();
  if (!id) return Error::fromErrno("endpoint ids", ENOSPC);
  auto done = store_.resetEndpoint(*id);
  if (done) done = store_.writeEndpoint(*id, encodeEndpoint(wanted, cluster.id, *locality));
  if (!done) {
    endpointIds_.release(*id);
    return done.error();
  }
  writes += 2;
  cluster.endpoints.emplace_hint(cluster.endpoints.end(), addresses,
                                 Known{*id, wanted, true, 0, updates_});
  endpointOfId_[*id] = {cluster.name, addresses};
  return {};
}

Status EndpointIds::update(const LbCluster& wanted, std::uint64_t& writes) {
  KnownCluster* cluster = nullptr;
  if (auto done = ensureCluster(wanted, cluster, writes); !done) {
    return done.error().in("cluster " + wanted.name);
  }
  ++updates_;
  for (const LbEndpoint& endpoint : wanted.endpoints) {
    if (auto done = ensureEndpoint(*cluster, endpoint, writes); !done) {
      return done.error().in("cluster " + wanted.name + ", endpoint " +
                             endpoint.address.toString());
    }
  }
  for (auto& [address, known] : cluster->endpoints) {
    if (!known.listed || known.seenIn == updates_) continue;
    if (auto done = unlist(known, writes); !done) return done.error().in("cluster " + wanted.name);
  }
  return {};
}

Status EndpointIds::retire(const std::string& name, std::uint64_t& writes) {
  const auto found = clusters_.find(name);
  if (found == clusters_.end()) return {};
  found->second.listed = false;
  found->second.retirement = ++retirements_;
  retired_.clusters.push_back({found->second.id, found->second.retirement});
  for (auto& [address, known] : found->second.endpoints) {
    if (!known.listed) continue;
    if (auto done = unlist(known, writes); !done) return done.error().in("cluster " + name);
  }
  return {};
}

Status EndpointIds::unlist(Known& known, std::uint64_t& writes) {
  known.listed = false;
  known.retirement = ++retirements_;
  retired_.endpoints.push_back({known.id, known.retirement});
  const auto returned = store_.withdraw(known.id);
  if (!returned) return returned.error();
  writes += *returned ? 1 : 0;
  return {};
}

std::size_t EndpointIds::missing(const LbCluster& cluster) const {
  const auto found = clusters_.find(cluster.name);
  if (found == clusters_.end()) return cluster.endpoints.size();
  const auto& known = found->second.endpoints;
  return static_cast<std::size_t>(
      std::count_if(cluster.endpoints.begin(), cluster.endpoints.end(),
                    [&](const LbEndpoint& one) { return !known.contains(addressesOf(one)); }));
}

EndpointIds::Known* EndpointIds::knownById(std::uint32_t id) {
  const auto owner = endpointOfId_.find(id);
  if (owner == endpointOfId_.end()) return nullptr;
  return &clusters_.at(*owner->second.first).endpoints.at(owner->second.second);
}

std::uint32_t EndpointIds::clusterId(const std::string& cluster) const {
  const auto found = clusters_.find(cluster);
  return found == clusters_.end() ? SM_NONE : found->second.id;
}

std::uint32_t EndpointIds::endpointId(const std::string& cluster,
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

std::uint32_t EndpointIds::endpointId(const std::string& cluster, const SocketAddress& address,
                                      const std::optional<SocketAddress>& otherAddress) const {
  const auto found = clusters_.find(cluster);
  if (found == clusters_.end()) return SM_NONE;
  const auto known = found->second.endpoints.find({address, otherAddress});
  return known == found->second.endpoints.end() ? SM_NONE : known->second.id;
}

// Hosts mostly come in the order of their addresses: the next one is looked at before a search.
std::vector<std::uint32_t> EndpointIds::endpointIds(const LbGroup& group) const {
  std::vector<std::uint32_t> ids(group.hosts.size(), SM_NONE);
  const auto found = clusters_.find(group.cluster);
  if (found == clusters_.end()) return ids;
  const auto& endpoints = found->second.endpoints;
  auto next = endpoints.begin();
  for (std::size_t i = 0; i < group.hosts.size(); ++i) {
    const Addresses addresses{group.hosts[i], group.otherOf(i)};
    if (next == endpoints.end() || next->first != addresses) next = endpoints.find(addresses);
    if (next != endpoints.end()) ids[i] = (next++)->second.id;
  }
  return ids;
}

std::uint32_t EndpointIds::localityId(const Locality& locality) const {
  const auto found = localities_.find(locality.toString());
  return found == localities_.end() ? SM_NONE : found->second;
}

std::optional<std::pair<std::string, SocketAddress>> EndpointIds::endpointOf(
    std::uint32_t id) const {
  const auto found = endpointOfId_.find(id);
  if (found == endpointOfId_.end()) return std::nullopt;
  return std::pair(*found->second.first, found->second.second.address);
}

EndpointIds::Retired EndpointIds::takeRetired() {
  return std::exchange(retired_, {});
}

void EndpointIds::keepRetired(Retired& retired, const std::set<std::uint32_t>& named) {
  std::erase_if(retired.endpoints, [&](const RetiredId& entry) {
    if (!named.contains(entry.id)) return false;
    retired_.endpoints.push_back(entry);
    return true;
  });
}

std::vector<std::uint32_t> EndpointIds::endpointsOf(const std::string& cluster) const {
  std::vector<std::uint32_t> ids;
  const auto found = clusters_.find(cluster);
  if (found == clusters_.end()) return ids;
  for (const auto& [address, known] : found->second.endpoints) ids.push_back(known.id);
  return ids;
}

std::optional<LbCluster> EndpointIds::listed(const std::string& cluster) const {
  const auto found = clusters_.find(cluster);
  if (found == clusters_.end() || !found->second.listed) return std::nullopt;
  LbCluster out = found->second.written;
  out.name = cluster;
  out.endpoints.clear();
  for (const auto& [address, known] : found->second.endpoints) {
    if (known.listed) out.endpoints.push_back(known.endpoint);
  }
  return out;
}

// The caller has seen to the grace period.
Status EndpointIds::freeEndpoint(std::uint32_t id, std::uint64_t& writes) {
  if (store_.activeConnections(id) > 0) {
    lingering_.insert(id);
    return {};
  }
  if (auto done = store_.writeEndpoint(id, sm_endpoint{}); !done) return done.error();
  ++writes;
  if (const auto owner = endpointOfId_.find(id); owner != endpointOfId_.end()) {
    clusters_.at(*owner->second.first).endpoints.erase(owner->second.second);
    endpointOfId_.erase(owner);
  }
  orphans_.erase(id);
  lingering_.erase(id);
  endpointIds_.release(id);
  return {};
}

Status EndpointIds::freeCluster(std::uint32_t id, std::uint64_t& writes) {
  const auto name = clusterOfId_.find(id);
  if (name == clusterOfId_.end()) return {};
  const auto cluster = clusters_.find(name->second);
  // Records of lingering endpoints still count on the cluster's line.
  if (cluster->second.listed || !cluster->second.endpoints.empty()) return {};
  if (auto done = store_.eraseName(SM_NAME_CLUSTER, id); !done) return done.error();
  ++writes;
  clusters_.erase(cluster);
  clusterOfId_.erase(name);
  clusterIds_.release(id);
  return {};
}

Status EndpointIds::release(const Retired& retired, std::uint64_t& writes) {
  for (const RetiredId& entry : retired.endpoints) {
    const Known* known = knownById(entry.id);
    const bool due = known == nullptr ? orphans_.contains(entry.id)
                                      : !known->listed && known->retirement == entry.retirement;
    if (!due) continue;
    if (auto done = freeEndpoint(entry.id, writes); !done) return done.error();
  }
  for (const RetiredId& entry : retired.clusters) {
    const auto name = clusterOfId_.find(entry.id);
    if (name == clusterOfId_.end()) continue;
    if (clusters_.at(name->second).retirement != entry.retirement) continue;
    if (auto done = freeCluster(entry.id, writes); !done) return done.error();
  }
  return {};
}

Status EndpointIds::reap(std::uint64_t& writes) {
  for (const std::uint32_t id : std::set<std::uint32_t>(lingering_)) {
    const auto owner = endpointOfId_.find(id);
    const std::uint32_t cluster =
        owner == endpointOfId_.end() ? SM_NONE : clusterId(*owner->second.first);
    if (auto done = freeEndpoint(id, writes); !done) return done.error();
    if (cluster == SM_NONE) continue;
    if (auto done = freeCluster(cluster, writes); !done) return done.error();
  }
  return {};
}

std::set<std::string> EndpointIds::clusters() const {
  std::set<std::string> names;
  for (const auto& [name, cluster] : clusters_) {
    if (cluster.listed) names.insert(name);
  }
  return names;
}

}  // namespace sockmesh
