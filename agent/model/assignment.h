// SPDX-License-Identifier: Apache-2.0
// A cluster's endpoints (envoy.config.endpoint.v3.ClusterLoadAssignment), decoded, in the order
// received. Duplicates are dropped already: the first occurrence of an address counts, also across
// localities and priorities.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "base/clock.h"
#include "base/interned.h"
#include "base/name.h"
#include "base/rare.h"
#include "model/address.h"
#include "model/metadata.h"

namespace sockmesh {

struct Locality {
  std::string region;
  std::string zone;
  std::string subZone;
  auto operator<=>(const Locality&) const = default;
  bool empty() const { return region.empty() && zone.empty() && subZone.empty(); }
  std::string toString() const;  // "region/zone/subzone", trailing empty parts dropped
};

}  // namespace sockmesh

template <>
struct std::hash<sockmesh::Locality> {
  std::size_t operator()(const sockmesh::Locality& locality) const noexcept {
    const std::hash<std::string> of;
    return (of(locality.region) * 31 + of(locality.zone)) * 31 + of(locality.subZone);
  }
};

namespace sockmesh {

// What many endpoints have in common.
using SharedLocality = Interned<Locality>;

// core.v3.HealthStatus of EDS. An unrecognised number is kUnknown.
enum class EdsHealth : std::uint8_t {
  kUnknown,
  kHealthy,
  kUnhealthy,
  kDraining,
  kTimeout,
  kDegraded,
};

// core.v3.HealthStatus: "DRAINING".
std::string_view edsHealthName(EdsHealth health);

struct Endpoint {
  SocketAddress address;  // who it is: ids, hashes, ejections and people go by it
  // The first of additional_addresses of the other family. For sockets that cannot reach `address`,
  // or that asked for a VIP of this family.
  std::optional<SocketAddress> otherAddress{};
  std::uint32_t weight = 1;  // >= 1
  EdsHealth health = EdsHealth::kUnknown;
  Rare<std::string> hostname;
  Rare<MetadataStruct> lbMetadata;  // filter_metadata["envoy.lb"]
};

// The endpoints of one locality at one priority.
struct LocalityEndpoints {
  SharedLocality locality;
  std::uint32_t priority = 0;
  std::uint32_t weight = 0;  // load_balancing_weight; 0: not given
  std::vector<Endpoint> endpoints;
};

struct LoadAssignment {
  Name clusterName;
  std::vector<LocalityEndpoints> localities;
  std::uint32_t overprovisioningFactor = 140;  // percent
  bool weightedPriorityHealth = false;
  std::optional<Nanos> endpointStaleAfter;
  // Endpoints that no connection reaches, each "ADDRESS: why"; listed for people.
  std::vector<std::string> unreachable;
  std::uint64_t contentHash = 0;  // of the resource's bytes

  std::size_t endpointCount() const {
    std::size_t count = 0;
    for (const LocalityEndpoints& locality : localities) count += locality.endpoints.size();
    return count;
  }
};

}  // namespace sockmesh
