// SPDX-License-Identifier: Apache-2.0
// Keeps the kernel at what the control plane wants: Snapshot + HealthOverlay -> LbTables -> maps. A
// pass runs when one of the two changes, when time alone changes the result, and after a failed
// write. Control thread.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/backoff.h"
#include "base/clock.h"
#include "base/event_loop.h"
#include "datapath/counting_store.h"
#include "datapath/map_writer.h"
#include "lb/compiler.h"
#include "model/health_overlay.h"
#include "model/snapshot.h"
#include "stats/agent_stats.h"

namespace sockmesh {

class Reconciler {
 public:
  // After each pass over the tables; `stats` and `conflicts` are the state to show.
  using OnPass =
      std::function<void(const WriterStats& stats, const std::vector<LeftAlone>& conflicts)>;
  // After each pass: the tables that are in force, and the snapshot that they come from.
  using OnTables = std::function<void(const Snapshot& snapshot, const LbTables& tables)>;

  // `loop`, `store`, `ids` and `grace` outlive the reconciler, which alone changes `ids`.
  Reconciler(EventLoop& loop, TableStore& store, IdRegistry& ids, GracePeriod& grace,
             std::uint32_t maxServices, CompilerOptions options);
  ~Reconciler();
  Reconciler(const Reconciler&) = delete;
  Reconciler& operator=(const Reconciler&) = delete;

  // Who is told from now on; one of each.
  void onPass(OnPass call) { onPass_ = std::move(call); }
  void onTables(OnTables call) { onTables_ = std::move(call); }

  // Takes over what an earlier agent left. Call first, a grace period after that agent has ended.
  void adopt(const KernelImage& image);

  // A snapshot that is not complete changes nothing, because the missing resources are unknown.
  // Services that depend on `unknowns` stay as the kernel has them.
  void setSnapshot(std::shared_ptr<const Snapshot> snapshot, Unknowns unknowns = {});
  void setOverlay(std::shared_ptr<const HealthOverlay> overlay);

  // True once a first complete snapshot is in the kernel as far as it fits, or maps were adopted.
  bool serving() const { return serving_; }

 private:
  void schedule();
  void pass();
  bool hasRoom(const LbTables& tables);
  void write(const std::shared_ptr<const LbTables>& tables, Nanos began);
  void report(const WriteReport& report, Nanos began, Nanos done);
  void scheduleNext(bool failed, Nanos now);
  void noteHeld(const std::vector<HeldService>& held);
  void publish();
  void keepTime();

  EventLoop& loop_;
  SystemClock clock_;
  CountingStore store_;
  MapWriter writer_;
  Compiler compiler_;
  OnPass onPass_;
  OnTables onTables_;
  std::shared_ptr<const Snapshot> snapshot_;
  Unknowns unknowns_;
  std::shared_ptr<const HealthOverlay> overlay_ = std::make_shared<HealthOverlay>();
  std::vector<LeftAlone> conflicts_;
  WriterStats stats_;
  std::optional<Nanos> changedAt_;  // the oldest change that is not in the kernel yet
  Backoff retryDelay_;
  bool scheduled_ = false;
  enum class Room : std::uint8_t { kUnknown, kInTheMaking, kMade };
  Room room_ = Room::kUnknown;  // for the pass that is under way
  bool serving_ = false;
  EventLoop::TimerId retryTimer_ = 0;
  EventLoop::TimerId timeTimer_ = 0;
  EventLoop::TimerId reapTimer_ = 0;
  std::shared_ptr<Reconciler*> self_;  // for posted tasks that outlive this
};

}  // namespace sockmesh
