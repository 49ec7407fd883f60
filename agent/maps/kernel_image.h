// SPDX-License-Identifier: Apache-2.0
// What the kernel holds, read back from the maps and decoded. A restarted agent starts from it, and
// the CLI shows it, also while no agent runs.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "lb/tables.h"
#include "maps/kernel_maps.h"
#include "model/unreachable.h"

namespace sockmesh {

struct ImageService {
  std::uint32_t id = 0;
  std::uint32_t descriptorIndex = 0;
  sm_descriptor descriptor{};
  std::vector<sm_group> groups;              // as in the kernel, with ids and cell numbers
  std::shared_ptr<const LbService> service;  // the same, decoded
  // The service for sockets that reach only one family. Null: these sockets use this service.
  std::shared_ptr<const ImageService> ipv4Only;
  std::shared_ptr<const ImageService> ipv6Only;
};

// A service, and its versions for sockets that reach only one family, if these differ.
std::vector<const ImageService*> withOthers(const ImageService& service);

struct ImageEndpoint {
  std::uint32_t id = 0;
  std::string cluster;  // "" where its name is not known
  LbEndpoint endpoint;
  bool withdrawn = false;  // not listed any more; its id waits for its last connection to end
};

struct KernelImage;
// Endpoints that cannot be reached, of the clusters that services lead to; by cluster and address.
std::vector<UnreachableEndpoint> unreachableEndpoints(const KernelImage& image);

struct KernelImage {
  // Which of `services` a connect() or a datagram to the address meets; end(): none. The TCP
  // service comes first where both protocols have one.
  std::map<VipKey, ImageService>::const_iterator serviceAt(const SocketAddress& address) const;

  std::map<VipKey, ImageService> services;
  std::map<std::uint32_t, ImageEndpoint> endpoints;         // by id
  std::size_t endpointCount = 0;                            // also where `endpoints` is left out
  std::map<std::uint32_t, std::string> clusterNames;        // by cluster id
  std::map<std::uint32_t, sm_cluster_state> clusterStates;  // of the named clusters, by id
  std::map<std::uint32_t, std::string> serviceNames;        // by service id
  std::map<std::uint32_t, std::string> localityNames;       // by name id
  // Frontends whose id, descriptor, group or cell leads nowhere, one line of text each. A crash or
  // another process has broken them. The programs leave such an address alone.
  std::vector<std::string> broken;
  std::vector<VipKey> brokenFrontends;  // their keys, in the same order

  enum class Tables : std::uint8_t {
    kAll,
    kOfGroupsOnly,  // which group a connection gets; of hosts' tables, which may be large, none
    kNoHosts,       // the same, and neither `endpoints` nor the groups' hosts
  };
  static Result<KernelImage> read(const KernelMaps& maps, Tables tables = Tables::kAll);
};

}  // namespace sockmesh
