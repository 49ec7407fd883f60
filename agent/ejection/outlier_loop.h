// SPDX-License-Identifier: Apache-2.0
// Connects outlier detection with the agent's loop: endpoint states from the kernel, hints from the
// ring, timers for sweeps, the overlay for the compiler, events for the log. Control thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "base/clock.h"
#include "base/event_loop.h"
#include "base/long_work.h"
#include "datapath/datapath.h"
#include "ejection/kernel_state_access.h"
#include "health/ejection_log.h"
#include "health/outlier_detector.h"
#include "lb/tables.h"
#include "maps/event_ring.h"
#include "model/health_overlay.h"
#include "model/snapshot.h"
#include "writer/grace_period.h"
#include "writer/id_registry.h"

namespace sockmesh {

class OutlierLoop {
 public:
  using OnOverlay = std::function<void(std::shared_ptr<const HealthOverlay>)>;
  using Warnings = SharedMap<std::string>;  // by cluster

  // `loop`, `datapath`, `ids` and `grace` outlive this; `logPath` may be empty.
  static Result<std::unique_ptr<OutlierLoop>> create(EventLoop& loop, Datapath& datapath,
                                                     const IdRegistry& ids, GracePeriod& grace,
                                                     const std::string& logPath);
  ~OutlierLoop();
  OutlierLoop(const OutlierLoop&) = delete;
  OutlierLoop& operator=(const OutlierLoop&) = delete;

  // Whoever compiles: called with each new overlay from now on.
  void onOverlay(OnOverlay call) { onOverlay_ = std::move(call); }

  // Called when the warnings are others.
  void onWarnings(std::function<void(const Warnings& warnings)> call) {
    onWarnings_ = std::move(call);
  }

  // Call after each pass: takes these clusters as they are now, soon. VIPs lead to those that are
  // in `tables`. Their ids are known then.
  void watch(std::shared_ptr<const Snapshot> snapshot, std::shared_ptr<const LbTables> tables,
             std::set<std::string> clusters);

 private:
  OutlierLoop(EventLoop& loop, Datapath& datapath, const IdRegistry& ids, GracePeriod& grace,
              const std::string& logPath);
  void onEvent(const RingEvent& event);
  void work();
  bool isLong() const;
  void workOff(Breather& breathe);
  void watchNews(Breather& breathe);
  void settle();
  void scheduleSweep();
  void listen();
  void stopListening();
  void tellWarnings();

  static WatchedCluster watchedOf(const std::string& name, const Snapshot& snapshot,
                                  const LbTables& tables);

  // What the detector has not been told yet.
  struct News {
    std::shared_ptr<const Snapshot> snapshot;
    std::shared_ptr<const LbTables> tables;
    std::set<std::string> clusters;
  };

  EventLoop& loop_;
  const IdRegistry& ids_;
  SystemClock clock_;
  KernelStateAccess states_;
  EjectionLog log_;
  OutlierDetector detector_;
  OnOverlay onOverlay_;
  std::function<void(const Warnings& warnings)> onWarnings_;
  std::unique_ptr<EventRing> ring_;
  bool listening_ = false;
  // What is to be done. While work is in progress, nothing else touches the detector.
  std::optional<News> news_;
  std::set<std::string> doubts_;  // clusters whose count of ejections is to be looked at again
  bool sweepDue_ = false;
  bool working_ = false;
  std::shared_ptr<const HealthOverlay> publishedOverlay_;
  Warnings warned_;
  EventLoop::TimerId sweepTimer_ = 0;
  LongWork slices_;  // last: ends before what it works on
};

}  // namespace sockmesh
