// SPDX-License-Identifier: Apache-2.0
// Keeps the kernel at what the control plane wants: brings the tables into the maps, and tries
// again what could not be written. A long pass is cut into slices, so that no turn of the loop is
// long. Control thread.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/backoff.h"
#include "base/clock.h"
#include "base/event_loop.h"
#include "base/long_work.h"
#include "daemon/table_maker.h"
#include "datapath/counting_store.h"
#include "datapath/map_writer.h"
#include "stats/agent_stats.h"

namespace sockmesh {

class Reconciler {
 public:
  using Conflicts = std::shared_ptr<const std::vector<LeftAlone>>;  // never null
  // After each pass over the tables; `stats` and `conflicts` are the state to show.
  using OnPass = std::function<void(const WriterStats& stats, const Conflicts& conflicts)>;
  // After each pass: the tables that are in force, the snapshot that they come from, and the
  // clusters of which anything is other than after the last pass.
  using OnTables = std::function<void(const Snapshot& snapshot, const LbTables& tables,
                                      const std::set<std::string>& clusters)>;

  // `loop`, `store`, `ids` and `grace` outlive the reconciler, which alone changes `ids`.
  Reconciler(EventLoop& loop, TableStore& store, IdRegistry& ids, GracePeriod& grace,
             std::uint32_t maxServices);
  ~Reconciler();
  Reconciler(const Reconciler&) = delete;
  Reconciler& operator=(const Reconciler&) = delete;

  // Who is told from now on; one of each.
  void onPass(OnPass call) { onPass_ = std::move(call); }
  void onTables(OnTables call) { onTables_ = std::move(call); }
  // Called when tables were written, as far as they could be, and the next ones may come. It gets
  // those that they replaced: large ones are better freed by another thread.
  using OnTaken = std::function<void(MadeTables replaced)>;
  void onTaken(OnTaken call) { onTaken_ = std::move(call); }

  // Takes over what an earlier agent left. Call first, a grace period after that agent has ended.
  void adopt(const KernelImage& image);

  // Brings the kernel to these tables. The next ones may come after onTaken().
  void setTables(MadeTables made);

  // True once first tables are in the kernel as far as they fit, or maps were adopted.
  bool serving() const { return serving_; }

 private:
  void pass();
  void inSlices(LongWork::Work work, std::function<void()> done);
  bool makeRoom(Breather& breathe);
  void write();
  void written();
  void report(const WriteReport& report, Nanos done);
  void retryLater();
  void noteHeld(const HeldStats& held);
  void publish();
  void keepTime();

  EventLoop& loop_;
  SystemClock clock_;
  CountingStore store_;
  MapWriter writer_;
  OnPass onPass_;
  OnTables onTables_;
  OnTaken onTaken_;
  MadeTables made_;                        // what is, or is to be, in the kernel
  MadeTables replaced_;                    // by `made_`
  std::optional<MadeTables> next_;         // came during a pass
  bool taking_ = false;                    // onTaken_ is still to be called for the newest
  std::set<std::string> changedClusters_;  // since onTables_ was told
  WriterStats stats_;
  std::optional<Nanos> changedAt_;  // the oldest change that is not in the kernel yet
  Backoff retryDelay_;
  enum class State : std::uint8_t { kIdle, kMakesRoom, kWaitsForRoom, kWrites };
  State state_ = State::kIdle;
  bool room_ = false;   // there is room for the pass that is under way
  Nanos began_{0};      // the writing
  WriteReport report_;  // of the pass that is under way
  bool serving_ = false;
  EventLoop::TimerId retryTimer_ = 0;
  EventLoop::TimerId reapTimer_ = 0;
  std::shared_ptr<Reconciler*> self_;  // for posted tasks that outlive this
  LongWork writing_;                   // last: ends before what it works on
};

}  // namespace sockmesh
