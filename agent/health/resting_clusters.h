// SPDX-License-Identifier: Apache-2.0
// Clusters whose sweeps would change nothing: no endpoint had traffic since the last sweep, none is
// ejected, no multiplier decays. Their sweeps cost one look at 64 clusters' bits. Clusters that are
// swept at about the same moment share a group, and the group moves on from interval to interval as
// one. So what is there costs next to nothing, and the agent wakes up a few times an interval at
// most.
//
// Clusters are known by number, see EndpointStateAccess. Control thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <vector>

#include "base/clock.h"

namespace sockmesh {

class RestingClusters {
 public:
  // Where the clusters of a group are. Stays where it is while it has clusters.
  struct Group {
    Nanos due;  // the next sweep
    Nanos interval;
    std::map<std::uint32_t, std::uint64_t> members;  // word -> bits
    std::uint32_t checked = 0;                       // the last word that check() had
  };
  // The bits of the clusters from 64 * word on: those that are to be swept.
  using Bits = std::function<std::uint64_t(std::uint32_t word)>;
  // Called with the number of a cluster.
  using Visit = std::function<void(std::uint32_t number)>;

  // A sweep in a group comes earlier than `due` by an interval / kSpread at most, and never later.
  static constexpr int kSpread = 64;

  // The cluster's next sweep is at `due`, about.
  Group& add(std::uint32_t number, Nanos due, Nanos interval);
  // The cluster is in this group, which may be gone afterwards.
  void remove(std::uint32_t number, Group& group);

  // The next sweep of any group.
  std::optional<Nanos> nextDue() const;

  // The clusters of groups that are due and whose bit is set. `visit` must not change this.
  void eachStirred(Nanos now, const Bits& bits, const Visit& visit) const;
  // Up to 64 clusters of each group that is due, in turn: over time all of them.
  void eachInTurn(Nanos now, const Visit& visit);
  // The groups that are due are swept again an interval after `now`.
  void moveOn(Nanos now);

 private:
  Group* find(Nanos due, Nanos interval);
  Nanos placeFor(Nanos due, Nanos interval) const;

  std::multimap<Nanos, Group> groups_;  // by Group::due
};

}  // namespace sockmesh
