// The last good version of every resource, and the Snapshots made of what is in force. Knows
// resources, not streams: the ADS client hands it responses and turns its verdicts into ACKs and
// NACKs. Which version is in force while endpoints are waited for is said in xds/warming.h.
// Control thread.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "envoy/service/discovery/v3/discovery.pb.h"
#include "model/snapshot.h"
#include "xds/apply_result.h"
#include "xds/resource_ttls.h"

namespace sockmesh {

class ResourceStore {
 public:
  ResourceStore();
  ~ResourceStore();

  // Takes in a state-of-the-world response for CDS, EDS or LDS. CDS and LDS are complete sets:
  // what is absent is removed (a rejected name that is present stays; nothing is removed while the
  // name of a rejected one is unknown, or by a response of heartbeats alone for the version held).
  // EDS is partial; names that no cluster wants are ignored. Of several resources with one name the
  // first counts. Resources may come in discovery.v3.Resource wrappers. A resource that is no
  // protobuf rejects the whole response. `now` (CLOCK_MONOTONIC) is when TTLs start.
  ApplyResult apply(const envoy::service::discovery::v3::DiscoveryResponse& response,
                    Nanos now = Nanos(0));

  // EDS names that clusters want, those in force and those that will be, sorted; what to subscribe
  // to. Assignments that are no longer wanted are forgotten with the clusters.
  std::vector<std::string> wantedAssignments() const;
  // Wanted names whose assignment has not arrived, with the cluster's initial_fetch_timeout
  // (0: wait for ever); the longest of those of clusters that share a name.
  std::map<std::string, Nanos> missingAssignments() const;
  // initial_fetch_timeout has passed: the cluster is taken as having no endpoints. True where that
  // changed the snapshot.
  bool fetchTimedOut(const std::string& edsName);
  // The first assignment of this name was rejected. As fetchTimedOut(), except where a cluster that
  // serves would be replaced: it keeps serving, and the time-out decides.
  bool fetchRejected(const std::string& edsName);

  // When the first cluster or listener expires (Resource.ttl); nothing: none does. Assignments do
  // not expire, as in Envoy.
  std::optional<Nanos> nextExpiry() const;
  // Removes what has expired at `now`, and says what; that changed the snapshot.
  std::vector<ResourceKey> expire(Nanos now);

  // The present state; shares everything that did not change with earlier snapshots.
  std::shared_ptr<const Snapshot> snapshot() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace sockmesh
