// Ids of clusters, endpoints and localities: given when first needed, kept while anything can refer
// to them, reused after. Control thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "datapath/allocators.h"
#include "datapath/kernel_image.h"
#include "datapath/table_store.h"

namespace sockmesh {

class EndpointIds {
 public:
  explicit EndpointIds(TableStore& store);

  void adopt(const KernelImage& image);

  // Brings the kernel's endpoints of `cluster` to what it lists: new ids are written, changed
  // weights and health noted, those no longer listed become `retired`. The count of writes is
  // added to `writes`.
  Status update(const LbCluster& cluster, std::uint64_t& writes);
  // All endpoints of a cluster that is gone, and its own id, become retired.
  Status retire(const std::string& cluster, std::uint64_t& writes);

  // How many endpoints of `cluster` have no id yet.
  std::size_t missing(const LbCluster& cluster) const;
  // As IdAllocator's, of clusters and of endpoints.
  std::uint32_t clustersAfter(std::size_t count) const { return clusterIds_.extentAfter(count); }
  std::uint32_t endpointsAfter(std::size_t count) const { return endpointIds_.extentAfter(count); }

  // SM_NONE where not known.
  std::uint32_t clusterId(const std::string& cluster) const;
  // The endpoint that is listed, where one with another second address is still known besides.
  std::uint32_t endpointId(const std::string& cluster, const SocketAddress& address) const;
  // The endpoint with just these addresses.
  std::uint32_t endpointId(const std::string& cluster, const SocketAddress& address,
                           const std::optional<SocketAddress>& otherAddress) const;
  // Ids of the group's hosts, in their order, SM_NONE where not known: cheaper than one by one.
  std::vector<std::uint32_t> endpointIds(const LbGroup& group) const;
  std::uint32_t localityId(const Locality& locality) const;
  // Cluster and address behind an id.
  std::optional<std::pair<std::string, SocketAddress>> endpointOf(std::uint32_t id) const;

  // What became unlisted since the last call; hand it to release() after a grace period, once no
  // published table names it.
  struct RetiredId {
    std::uint32_t id = 0;
    // Which retirement this was: an id that came back and left again has a newer one, whose grace
    // period is not over with this one's.
    std::uint64_t retirement = 0;
  };
  struct Retired {
    std::vector<RetiredId> endpoints;
    std::vector<RetiredId> clusters;
    bool empty() const { return endpoints.empty() && clusters.empty(); }
  };
  Retired takeRetired();
  // Moves what `named` contains out of `retired`, to be taken the next time.
  void keepRetired(Retired& retired, const std::set<std::uint32_t>& named);
  // Frees the ids that are still unlisted and have no connections; the others linger, and reap()
  // tries them again.
  Status release(const Retired& retired, std::uint64_t& writes);
  Status reap(std::uint64_t& writes);
  std::size_t lingering() const { return lingering_.size(); }

  std::set<std::string> clusters() const;
  // Ids of the cluster's endpoints, also of those that are not listed any more.
  std::vector<std::uint32_t> endpointsOf(const std::string& cluster) const;
  // A cluster as the kernel has it: its listed endpoints, by address, and its limits. Nothing where
  // it is not known.
  std::optional<LbCluster> listed(const std::string& cluster) const;

 private:
  // The addresses of an endpoint do not change while its id is in use: with another second address
  // it is another endpoint.
  struct Addresses {
    SocketAddress address;
    std::optional<SocketAddress> otherAddress;
    auto operator<=>(const Addresses&) const = default;
  };
  static Addresses addressesOf(const LbEndpoint& endpoint) {
    return {endpoint.address, endpoint.otherAddress};
  }
  struct Known {
    std::uint32_t id = 0;
    LbEndpoint endpoint;
    bool listed = false;
    std::uint64_t retirement = 0;  // the last one
    std::uint64_t seenIn = 0;      // the last update() that listed it
  };
  struct KnownCluster {
    std::uint32_t id = 0;
    const std::string* name = nullptr;  // its key
    bool listed = false;
    std::uint64_t retirement = 0;
    LbCluster written;  // limits as last written
    bool limitsKnown = false;
    std::map<Addresses, Known> endpoints;
  };

  Status ensureCluster(const LbCluster& cluster, KnownCluster*& out, std::uint64_t& writes);
  Status ensureEndpoint(KnownCluster& cluster, const LbEndpoint& wanted, std::uint64_t& writes);
  Result<std::uint32_t> ensureLocality(const Locality& locality, std::uint64_t& writes);
  Status unlist(Known& known, std::uint64_t& writes);
  Status freeEndpoint(std::uint32_t id, std::uint64_t& writes);
  Status freeCluster(std::uint32_t id, std::uint64_t& writes);
  Known* knownById(std::uint32_t id);

  TableStore& store_;
  IdAllocator endpointIds_;
  IdAllocator clusterIds_;
  IdAllocator localityIds_;
  std::map<std::string, KnownCluster> clusters_;
  std::map<std::uint32_t, std::string> clusterOfId_;
  // The name is the key in clusters_, where it stays as long as the cluster has endpoints.
  std::unordered_map<std::uint32_t, std::pair<const std::string*, Addresses>> endpointOfId_;
  std::map<std::string, std::uint32_t> localities_;
  std::set<std::uint32_t> orphans_;  // adopted ids whose cluster's name is not known
  Retired retired_;
  std::uint64_t retirements_ = 0;
  std::uint64_t updates_ = 0;
  std::set<std::uint32_t> lingering_;  // unlisted, grace period over, still with connections
};

}  // namespace sockmesh
