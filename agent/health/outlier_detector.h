// Envoy's outlier detection: the half that takes its time. The kernel counts outcomes and ejects by
// the consecutive detectors at once; this sweeps each cluster every `interval`: takes endpoints
// back, has the count of the ejected put right, evaluates success rate and failure percentage, lets
// multipliers decay; and it keeps the HealthOverlay, from which tables without the ejected
// endpoints are compiled. It keeps no verdict that the kernel's lines do not hold, so a restarted
// agent goes on where the last one stopped.
//
// Knows no clock: `now` is CLOCK_MONOTONIC and never goes back. Control thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "health/ejection_event.h"
#include "health/state_access.h"
#include "model/assignment.h"
#include "model/cluster.h"
#include "model/health_overlay.h"

namespace sockmesh {

// A cluster that some VIP leads to. Resources are compared by identity.
struct WatchedCluster {
  std::shared_ptr<const Cluster> cluster;
  std::shared_ptr<const LoadAssignment> assignment;  // null: has not arrived
  bool operator==(const WatchedCluster&) const = default;
};

class OutlierDetector {
 public:
  using OnEvent = std::function<void(const EjectionEvent&)>;

  // `states` outlives the detector; `onEvent` is called from watch(), refresh() and sweep().
  OutlierDetector(EndpointStateAccess& states, OnEvent onEvent);
  ~OutlierDetector();

  // What there is now, all of it; an endpoint counts from when its line is first seen, so best
  // called once the lines are there. Endpoints that stay keep their state (also where their weight,
  // locality or cluster resource changed); clusters without outlier_detection get their ejected
  // endpoints back.
  void watch(const std::map<std::string, WatchedCluster>& clusters, Nanos now);

  // The kernel's lines of this cluster have changed: reads them again.
  void refresh(const std::string& cluster, Nanos now);
  // The kernel's consecutive detector fired, and the dice said no: for the log alone.
  void notEnforced(const std::string& cluster, const SocketAddress& address, Detector detector,
                   Nanos now);

  // Sweeps the clusters that are due.
  void sweep(Nanos now);
  std::optional<Nanos> nextSweep() const;

  // What is ejected now; another object whenever that has changed. Never null.
  const std::shared_ptr<const HealthOverlay>& overlay() const { return overlay_; }

  // Settings that cannot work, a line each, by cluster: "max_ejection_percent 10 of 3 endpoints..."
  const std::map<std::string, std::string>& warnings() const { return warnings_; }

 private:
  struct Host;
  struct Watched;

  void follow(Watched& watched, const WatchedCluster& resources, Nanos now);
  void takeAllBack(Watched& watched, Nanos now);
  // Reads the line, tells what is new in it and notes whether it is ejected. `rates` are told with
  // an ejection.
  std::optional<EndpointState> observe(
      Watched& watched, const SocketAddress& address, Host& host,
      const std::optional<EjectionEvent::Rates>& rates = std::nullopt);
  void observeAll(Watched& watched);
  void tellNotEnforced(const Watched& watched, const SocketAddress& address, const Host& host,
                       Detector detector, Nanos now,
                       const std::optional<EjectionEvent::Rates>& rates = std::nullopt);
  void publish();

  // The parts of a sweep, in Envoy's order.
  void sweepCluster(Watched& watched, Nanos now);
  Nanos takeDueBack(Watched& watched, Nanos now);  // when it was done with that
  void evaluate(Watched& watched, Nanos now);
  void decay(Watched& watched, Nanos interval, Nanos now);

  EndpointStateAccess& states_;
  OnEvent onEvent_;
  std::map<std::string, std::unique_ptr<Watched>> watched_;
  std::shared_ptr<const HealthOverlay> overlay_ = std::make_shared<HealthOverlay>();
  std::map<std::string, std::string> warnings_;
};

}  // namespace sockmesh
