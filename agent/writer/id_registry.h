// SPDX-License-Identifier: Apache-2.0
// Ids of clusters, endpoints and localities: given when first needed, kept while anything can refer
// to them, reused after. The registry only keeps books: EndpointWriter writes what they say into
// the kernel. Control thread.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/breather.h"
#include "base/name.h"
#include "base/result.h"
#include "lb/tables.h"
#include "maps/kernel_image.h"
#include "writer/allocators.h"

namespace sockmesh {

// A set of ids. Ids are dense, so it is a bit for each.
class IdSet {
 public:
  void insert(std::uint32_t id) {
    if (id >= bits_.size()) bits_.resize(std::max<std::size_t>(id + 1, bits_.size() * 2));
    bits_[id] = true;
  }
  bool contains(std::uint32_t id) const { return id < bits_.size() && bits_[id]; }

 private:
  std::vector<bool> bits_;
};

class IdRegistry {
 public:
  // The addresses of an endpoint do not change while its id is in use. With another second address
  // it is another endpoint.
  struct Addresses {
    SocketAddress address;
    std::optional<SocketAddress> otherAddress;
    auto operator<=>(const Addresses&) const = default;
  };
  struct Cluster;
  struct Endpoint {
    Cluster* cluster = nullptr;  // null: the id is nobody's
    Addresses addresses;
    EdsHealth health = EdsHealth::kUnknown;  // as last written, and so are the next three
    bool listed = false;
    std::uint32_t id = 0;
    std::uint32_t weight = 1;
    std::uint32_t priority = 0;
    SharedLocality locality;
    std::uint64_t seenIn = 0;  // the last update that listed it

    // Takes note of what was written.
    void note(const LbEndpoint& written) {
      weight = written.weight;
      priority = written.priority;
      health = written.health;
      locality = written.locality;
    }
  };
  struct Cluster {
    std::uint32_t id = 0;
    Name name;
    bool listed = false;
    std::uint64_t retirement = 0;
    std::optional<ClusterLimits> limits;   // as last written
    std::vector<std::uint32_t> endpoints;  // ids, in the order of their addresses
  };

  // What became unlisted since the last call of takeRetired(). Its ids may be freed after a grace
  // period, once no published table names them.
  struct RetiredId {
    std::uint32_t id = 0;
    // The number of this retirement. An id that came back and left again has a newer number, and
    // needs a grace period of its own.
    std::uint64_t retirement = 0;
  };
  struct Retired {
    std::vector<RetiredId> endpoints;
    std::vector<RetiredId> clusters;
    bool empty() const { return endpoints.empty() && clusters.empty(); }
  };

  IdRegistry();
  IdRegistry(const IdRegistry&) = delete;
  IdRegistry& operator=(const IdRegistry&) = delete;

  // Takes the ids that an earlier agent gave. Call it before anything else, or after forget().
  void adopt(const KernelImage& image);

  // Forgets everything, for another adopt(). Retirements that are under way count no more.
  void forget();

  // What is known. SM_NONE, null or empty where nothing is.
  std::uint32_t clusterId(const std::string& cluster) const;
  // The listed endpoint. Another one with another second address may also still be known.
  std::uint32_t endpointId(const std::string& cluster, const SocketAddress& address) const;
  // The endpoint with just these addresses.
  std::uint32_t endpointId(const std::string& cluster, const SocketAddress& address,
                           const std::optional<SocketAddress>& otherAddress) const;
  // Ids of the group's hosts, in their order, SM_NONE where not known: cheaper than one by one.
  std::vector<std::uint32_t> endpointIds(const LbGroup& group) const;
  std::vector<std::uint32_t> endpointIds(const LbGroup& group, Breather& breathe) const;
  std::uint32_t localityId(const Locality& locality) const;
  // Cluster and address behind an id.
  std::optional<std::pair<std::string, SocketAddress>> endpointOf(std::uint32_t id) const;
  // Names of the listed clusters.
  std::set<std::string> clusters() const;
  std::set<std::string> clusters(Breather& breathe) const;
  // Ids of the cluster's endpoints, also of endpoints that are not listed any more.
  std::vector<std::uint32_t> endpointsOf(const std::string& cluster) const;
  std::vector<std::uint32_t> endpointsOf(const std::string& cluster, Breather& breathe) const;
  // A cluster as the kernel has it: its listed endpoints, by address, and its limits. Nothing where
  // it is not known. A listed cluster stays listed where `breathe` pauses.
  std::optional<LbCluster> listed(const std::string& cluster) const;
  std::optional<LbCluster> listed(const std::string& cluster, Breather& breathe) const;
  const Cluster* find(const std::string& cluster) const;
  Cluster* find(const std::string& cluster);
  Cluster* findCluster(std::uint32_t id) const {
    return id < clusterOfId_.size() ? clusterOfId_[id] : nullptr;
  }
  // Endpoints stay where they are until they are removed.
  const Endpoint* findEndpoint(std::uint32_t id) const;
  Endpoint* findEndpoint(std::uint32_t id);
  // The endpoint of the cluster with just these addresses.
  const Endpoint* findEndpoint(const Cluster& cluster, const Addresses& addresses) const;
  Endpoint* findEndpoint(const Cluster& cluster, const Addresses& addresses);
  // Index into Cluster::endpoints of the first endpoint behind these addresses.
  std::size_t indexAfter(const Cluster& cluster, const Addresses& addresses) const;

  // Adopted endpoints without a cluster's name, or beside another one of the same addresses. Their
  // ids are retired.
  const std::set<std::uint32_t>& orphans() const { return orphans_; }

  // How many endpoints of `cluster` have no id yet.
  std::size_t missing(const LbCluster& cluster, Breather& breathe) const;
  // As IdAllocator's, of clusters and of endpoints.
  std::uint32_t clustersAfter(std::size_t count) const { return clusterIds_.extentAfter(count); }
  std::uint32_t endpointsAfter(std::size_t count) const { return endpointIds_.extentAfter(count); }

  // Gives an id to what has none yet; an Error where all are in use. What is added is not listed.
  Result<Cluster*> addCluster(const std::string& name);
  Result<Endpoint*> addEndpoint(Cluster& cluster, const LbEndpoint& endpoint);
  Result<std::uint32_t> addLocality(const std::string& name);

  // The endpoint or cluster left the configuration; its id becomes retired.
  void unlist(Endpoint& endpoint);
  void unlist(Cluster& cluster);
  Retired takeRetired() { return std::exchange(retired_, {}); }
  // Moves the ids of these endpoints and clusters out of `retired`. The next call takes them.
  void keepRetired(Retired& retired, const IdSet& endpoints, const IdSet& clusters,
                   Breather& breathe);
  // Whether it has not come back since that retirement.
  bool isStillRetired(const RetiredId& endpoint) const;
  bool isClusterStillRetired(const RetiredId& cluster) const;

  // An endpoint that is not listed, and that connections still use after its grace period.
  void linger(std::uint32_t endpointId) { lingering_.insert(endpointId); }
  void endLinger(std::uint32_t endpointId) { lingering_.erase(endpointId); }
  const std::set<std::uint32_t>& lingering() const { return lingering_; }

  // The id is free for another from now on. A cluster must not have endpoints any more.
  void removeEndpoint(std::uint32_t id);
  void removeCluster(std::uint32_t id);
  void removeLocality(const std::string& name);

  static Addresses addressesOf(const LbEndpoint& endpoint) {
    return {endpoint.address, endpoint.otherAddress};
  }

 private:
  void adoptClusters(const KernelImage& image);
  void adoptEndpoint(const ImageEndpoint& adopted);
  Endpoint& enter(Cluster& cluster, std::uint32_t id, const Addresses& addresses);
  void leave(std::uint32_t id);
  void addOrphan(std::uint32_t endpointId);
  void enter(Cluster& cluster, std::uint32_t id);
  std::size_t indexOf(const Cluster& cluster, const Addresses& addresses) const;
  template <typename Visit>
  void eachEndpoint(const std::string& cluster, Breather& breathe, const Visit& visit) const;
  const Endpoint& at(std::uint32_t id) const { return (*pages_[id / kPageSize])[id % kPageSize]; }

  IdAllocator endpointIds_;
  IdAllocator clusterIds_;
  IdAllocator localityIds_;
  NameMap<Cluster> clusters_;
  std::vector<Cluster*> clusterOfId_;  // ids are dense; null: nobody's
  // Endpoints by id, in pages. Null: none of the page's ids was ever in use.
  static constexpr std::size_t kPageSize = 1024;
  using Page = std::array<Endpoint, kPageSize>;
  std::vector<std::unique_ptr<Page>> pages_;
  // The last retirement of each endpoint that is not listed. It may have been listed again.
  std::unordered_map<std::uint32_t, std::uint64_t> retirementOf_;
  std::map<std::string, std::uint32_t> localities_;
  std::set<std::uint32_t> orphans_;
  Retired retired_;
  std::uint64_t retirements_ = 0;
  std::set<std::uint32_t> lingering_;
};

}  // namespace sockmesh
