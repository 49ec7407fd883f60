// SPDX-License-Identifier: Apache-2.0
// The periodic half of Envoy's outlier detection. The kernel counts outcomes and ejects by the
// consecutive detectors at once. The detector sweeps each cluster every `interval`: it unejects
// endpoints, has the count of ejected endpoints corrected, evaluates success rate and failure
// percentage, and lets multipliers decay. A sweep looks at the endpoints that had traffic and at
// those that an earlier sweep has left something to do for; see RestingClusters. It also keeps the
// HealthOverlay, from which tables without the ejected endpoints are compiled. Every decision is in
// the kernel's endpoint states, so a restarted agent goes on where the last one stopped.
//
// Knows no clock: `now` is CLOCK_MONOTONIC and never goes back. Control thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/breather.h"
#include "base/clock.h"
#include "base/name.h"
#include "base/shared_map.h"
#include "health/ejection_event.h"
#include "health/state_access.h"
#include "health/success_rate.h"
#include "health/swept_cluster.h"
#include "model/assignment.h"
#include "model/cluster.h"
#include "model/health_overlay.h"

namespace sockmesh {

// A cluster that some VIP leads to. Resources are compared by identity.
struct WatchedCluster {
  std::shared_ptr<const Cluster> cluster;            // null: not watched
  std::shared_ptr<const LoadAssignment> assignment;  // null: has not arrived
  bool operator==(const WatchedCluster&) const = default;
};

class OutlierDetector {
 public:
  using OnEvent = std::function<void(const EjectionEvent&)>;

  // `states` outlives the detector; `onEvent` is called from watch(), refresh() and sweep().
  OutlierDetector(EndpointStateAccess& states, OnEvent onEvent);
  ~OutlierDetector();

  // These clusters have other resources from now on; one without a `cluster` is watched no more.
  // The others stay as they are. Statistics of an endpoint start when its kernel state is first
  // read, so call this after the tables were written. Endpoints that stay keep their state, also if
  // their weight, locality or cluster resource changed. Endpoints of clusters without
  // outlier_detection are unejected.
  void watch(const std::map<std::string, WatchedCluster>& changed, Nanos now);
  // Where `breathe` pauses, nothing else of the detector may be called except const functions,
  // which answer as before the call. The same holds for sweep().
  void watch(const std::map<std::string, WatchedCluster>& changed, Nanos now, Breather& breathe);

  // The state of this endpoint has changed: reads it again.
  void refresh(const std::string& cluster, const SocketAddress& address, Nanos now);
  // The kernel's consecutive detector fired, and the dice said no. Only the log is told.
  void notEnforced(const std::string& cluster, const SocketAddress& address, Detector detector,
                   Nanos now);

  // Sweeps the clusters that are due.
  void sweep(Nanos now);
  void sweep(Nanos now, Breather& breathe);
  std::optional<Nanos> nextSweep() const;

  // How many clusters and hosts these are; the second: of the clusters that are due. They count no
  // further than `limit`, about.
  std::size_t hostsOf(const std::set<std::string>& clusters, std::size_t limit) const;
  std::size_t hostsDue(Nanos now, std::size_t limit) const;

  // What is ejected now. A change makes a new object, which shares what did not change. Never null.
  const std::shared_ptr<const HealthOverlay>& overlay() const { return overlay_; }

  // Settings that cannot work, one line of text each, by cluster: "max_ejection_percent 10 of 3
  // endpoints..."
  const SharedMap<std::string>& warnings() const { return warnings_; }

 private:
  void follow(SweptCluster& watched, const WatchedCluster& resources, Nanos now, Breather& breathe);
  void list(SweptCluster& watched, const LoadAssignment* assignment, Nanos now, Breather& breathe);
  void unlistAll(SweptCluster& watched, Breather& breathe);
  void unejectAll(SweptCluster& watched, Nanos now, Breather& breathe);
  void unejectUnwatched(SweptCluster& watched, const SocketAddress& address, Nanos now);
  // Reads the state, tells what is new in it and notes whether the endpoint is ejected. `rates` go
  // with the event of an ejection.
  std::optional<EndpointState> observe(
      SweptCluster& watched, SweptHost& host,
      const std::optional<EjectionEvent::Rates>& rates = std::nullopt);
  void observeAll(SweptCluster& watched, Breather& breathe);
  void tellNotEnforced(const SweptCluster& watched, const SweptHost& host, Detector detector,
                       Nanos now, const std::optional<EjectionEvent::Rates>& rates = std::nullopt);
  void forget(const std::string& cluster, Breather& breathe);
  void setDue(SweptCluster& watched, std::optional<Nanos> due);
  void rest(SweptCluster& watched, Breather& breathe);
  void stir(SweptCluster& watched);
  void stirDue(Nanos now, Breather& breathe);
  void publish(const std::vector<Name>& clusters);

  // The parts of a sweep, in Envoy's order.
  using SweptHosts = std::vector<SweptHost*>;
  void sweepCluster(SweptCluster& watched, Nanos now, Breather& breathe);
  SweptHosts hostsToSweep(SweptCluster& watched, Breather& breathe);
  // Returns when it was done with that.
  Nanos unejectDue(SweptCluster& watched, const SweptHosts& hosts, Nanos now, Breather& breathe);
  void evaluate(SweptCluster& watched, const SweptHosts& hosts, Nanos now, Breather& breathe);
  void detected(SweptCluster& watched, SweptHost& host, std::size_t client,
                const StatisticalOutlier& outlier, Nanos now);
  void decay(SweptCluster& watched, const SweptHosts& hosts, Nanos now, Breather& breathe);

  EndpointStateAccess& states_;
  OnEvent onEvent_;
  NameMap<std::unique_ptr<SweptCluster>> watched_;
  std::shared_ptr<const HealthOverlay> overlay_ = std::make_shared<HealthOverlay>();
  SharedMap<std::string> warnings_;
  std::set<std::pair<Nanos, Name>> due_;  // sweeps of clusters that do not rest
  RestingClusters resting_;
};

}  // namespace sockmesh
