// SPDX-License-Identifier: Apache-2.0
// The periodic half of Envoy's outlier detection. The kernel counts outcomes and ejects by the
// consecutive detectors at once. The detector sweeps each cluster every `interval`: it unejects
// endpoints, has the count of ejected endpoints corrected, evaluates success rate and failure
// percentage, and lets multipliers decay. It also keeps the HealthOverlay, from which tables
// without the ejected endpoints are compiled. Every decision is in the kernel's endpoint states, so
// a restarted agent goes on where the last one stopped.
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
  struct Host;
  struct Watched;

  void follow(Watched& watched, const WatchedCluster& resources, Nanos now, Breather& breathe);
  void list(Watched& watched, const LoadAssignment* assignment, Nanos now, Breather& breathe);
  void unlistAll(Watched& watched, Breather& breathe);
  void unejectAll(Watched& watched, Nanos now, Breather& breathe);
  void unejectUnwatched(Watched& watched, const SocketAddress& address, Nanos now);
  // Reads the state, tells what is new in it and notes whether the endpoint is ejected. `rates` go
  // with the event of an ejection.
  std::optional<EndpointState> observe(
      Watched& watched, Host& host,
      const std::optional<EjectionEvent::Rates>& rates = std::nullopt);
  void observeAll(Watched& watched, Breather& breathe);
  void tellNotEnforced(const Watched& watched, const Host& host, Detector detector, Nanos now,
                       const std::optional<EjectionEvent::Rates>& rates = std::nullopt);
  void forget(const std::string& cluster, Breather& breathe);
  void setDue(Watched& watched, std::optional<Nanos> due);
  void publish(const std::set<std::string>& clusters);

  // The parts of a sweep, in Envoy's order.
  void sweepCluster(Watched& watched, Nanos now, Breather& breathe);
  // Returns when it was done with that.
  Nanos unejectDue(Watched& watched, Nanos now, Breather& breathe);
  void evaluate(Watched& watched, Nanos now, Breather& breathe);
  void detected(Watched& watched, Host& host, std::size_t client, const StatisticalOutlier& outlier,
                Nanos now);
  void decay(Watched& watched, Nanos interval, Nanos now, Breather& breathe);

  EndpointStateAccess& states_;
  OnEvent onEvent_;
  NameMap<std::unique_ptr<Watched>> watched_;
  std::shared_ptr<const HealthOverlay> overlay_ = std::make_shared<HealthOverlay>();
  SharedMap<std::string> warnings_;
  std::set<std::pair<Nanos, Name>> due_;  // sweeps of clusters
};

}  // namespace sockmesh
