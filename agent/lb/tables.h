// SPDX-License-Identifier: Apache-2.0
// What the compiler makes of a Snapshot and the map writer puts into the kernel: selection tables
// in terms of names and addresses. Only the writer knows ids. Cells refer to hosts and groups by
// their index in this structure, so equal tables of different clusters are one table.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/breather.h"
#include "base/name.h"
#include "base/shared_map.h"
#include "lb/lb_endpoints.h"
#include "model/assignment.h"
#include "model/cluster.h"
#include "model/ejection.h"
#include "model/listener.h"
#include "model/vip.h"
#include "sockmesh_abi.h"

namespace sockmesh {

// An immutable table of cells. `size` counts entries as sm_group::table_size does. Equal content
// is shared: the compiler keeps one object for all (by `contentHash`, then by comparison).
struct CellTable {
  std::vector<sm_cell> cells;  // unused words are zero
  std::uint32_t size = 0;
  std::uint64_t contentHash = 0;
};

// sm_group, without ids. A LEAVE_ALONE or REFUSE group has a reason, and neither hosts nor a table.
struct LbGroup {
  sm_policy policy = SM_POLICY_LEAVE_ALONE;
  sm_reason reason = SM_REASON_NONE;
  Name cluster;             // "" for SM_POLICY_BY_HASH
  std::uint32_t flags = 0;  // SM_GROUP_*
  std::uint32_t priority = 0;
  SharedLocality locality;  // empty: several, or none
  std::vector<SocketAddress> hosts;
  // By host: its address of the other family, if it has one. As long as `hosts`, or empty: no host
  // has one. Two hosts that differ only in it are different.
  std::vector<std::optional<SocketAddress>> otherAddresses;
  std::optional<SocketAddress> otherOf(std::size_t host) const {
    return host < otherAddresses.size() ? otherAddresses[host] : std::nullopt;
  }
  std::shared_ptr<const CellTable> table;  // null: the policy needs none
  std::uint32_t choiceCount = 0;
  std::uint32_t biasQ16 = 0;
  std::uint32_t balancePercent = 0;
  std::uint32_t ringShift = 0;

  // Whether the kernel would hold the same of both.
  bool operator==(const LbGroup& other) const;
  bool sameAs(const LbGroup& other, Breather& breathe) const;
};

// One VIP.
struct LbService {
  std::string name;  // the listener's
  Vip vip;
  Protocol protocol = Protocol::kTcp;
  // Groups [0, pickSize) are picked by `pick` (alias cells whose here/other are group indices);
  // null when pickSize is 1. Other groups are reached through SM_POLICY_BY_HASH groups.
  std::vector<std::shared_ptr<const LbGroup>> groups;  // at least one
  // The leg of the traffic split, by group: an endpoint of the same leg replaces an ejected one. As
  // long as `groups`, or empty: one leg.
  std::vector<std::uint16_t> legs;
  std::uint16_t legOf(std::size_t group) const { return group < legs.size() ? legs[group] : 0; }
  bool sameLegs(const LbService& other) const;
  std::shared_ptr<const CellTable> pick;
  std::uint32_t pickSize = 1;
  std::uint32_t flags = 0;  // SM_DESCRIPTOR_*
  std::uint32_t affinitySeconds = 0;
  // The versions of this service for sockets that reach only one family, with other groups and
  // without these two fields. Null: these sockets use this version.
  std::shared_ptr<const LbService> ipv4Only;
  std::shared_ptr<const LbService> ipv6Only;

  // Whether the kernel would hold the same of both.
  bool operator==(const LbService& other) const;
  bool sameAs(const LbService& other, Breather& breathe) const;
};

// Every `threshold` failures in a row are detected, and eject with enforcingPercent.
struct ConsecutiveRule {
  std::uint32_t threshold = 0;  // 0: never
  std::uint32_t enforcingPercent = 0;
  Detector detector = Detector::kConsecutive5xx;
  bool operator==(const ConsecutiveRule&) const = default;
};

// What the kernel needs to eject on its own.
struct EjectionRules {
  // In the order in which Envoy asks them.
  std::array<ConsecutiveRule, SM_CONSECUTIVE_RULES> consecutive{};
  std::uint32_t limit = 0;  // endpoints that may be ejected at once
  Nanos base{0};            // 0: the cluster has no outlier detection
  Nanos max{0};             // without jitter
  Nanos jitter{0};          // at most; whole milliseconds
  Nanos interval{0};        // between sweeps; multipliers decay by 1 in it
  bool operator==(const EjectionRules&) const = default;
};

// What the kernel knows of a cluster beside its endpoints.
struct ClusterLimits {
  Nanos connectTimeout{0};
  EjectionRules ejection;
  bool operator==(const ClusterLimits&) const = default;
};

// A cluster that some VIP leads to.
struct LbCluster {
  Name name;
  LbEndpoints endpoints;  // all of them, eligible or not
  Nanos connectTimeout{0};
  EjectionRules ejection;
  bool operator==(const LbCluster&) const = default;
  bool sameAs(const LbCluster& other, Breather& breathe) const;
};

struct VipKey {
  Vip vip;
  Protocol protocol = Protocol::kTcp;
  auto operator<=>(const VipKey&) const = default;
};

// What differs between two LbTables: appeared, disappeared or has new content.
struct TableChanges {
  std::set<VipKey> services;
  std::set<std::string> clusters;
  bool empty() const { return services.empty() && clusters.empty(); }
  void merge(const TableChanges& later) {
    services.insert(later.services.begin(), later.services.end());
    clusters.insert(later.clusters.begin(), later.clusters.end());
  }
  bool operator==(const TableChanges&) const = default;
};

// Immutable; unchanged services and clusters are the same objects as in the tables before, so a
// diff compares pointers first.
struct LbTables {
  using Services = SharedMap<std::shared_ptr<const LbService>, VipKey>;
  using Clusters = SharedMap<std::shared_ptr<const LbCluster>, Name>;

  Services services;
  Clusters clusters;
  // Conflicts, as between two listeners that claim one VIP. For status and the log. Never null.
  std::shared_ptr<const std::vector<LeftAlone>> conflicts =
      std::make_shared<const std::vector<LeftAlone>>();
  // Relative to the tables at `before`. Of tables without predecessor: empty, and anything may
  // differ.
  TableChanges changed;
  // The predecessor. Only its address counts, for a reader that still holds the predecessor. A
  // reader that holds other tables looks at everything. Null: there is none.
  const LbTables* before = nullptr;
};

}  // namespace sockmesh
