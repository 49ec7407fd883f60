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
#include "stats/agent_stats.h"
#include "writer/counting_store.h"
#include "writer/map_writer.h"

namespace sockmesh {

// What a pass brought the kernel to, and where it comes from. Immutable; no member is null.
struct InForce {
  std::shared_ptr<const Snapshot> snapshot;
  std::shared_ptr<const LbTables> compiled;  // of the snapshot
  std::shared_ptr<const LbTables> aim;       // the same, with held services as the kernel has them
};

class Reconciler {
 public:
  using Conflicts = std::shared_ptr<const std::vector<LeftAlone>>;  // never null
  // After each pass over the tables; `stats` and `conflicts` are the state to show.
  using OnPass = std::function<void(const WriterStats& stats, const Conflicts& conflicts)>;
  // After each pass: the tables that are in force, the snapshot that they come from, and the
  // clusters of which anything is other than after the last pass.
  using OnTables =
      std::function<void(std::shared_ptr<const Snapshot> snapshot,
                         std::shared_ptr<const LbTables> tables, std::set<std::string> clusters)>;

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
  // Called with null before the kernel is written, and with what is in it after.
  using OnInForce = std::function<void(std::shared_ptr<const InForce>)>;
  void onInForce(OnInForce call) { onInForce_ = std::move(call); }

  // Takes over what an earlier agent left. Call first, a grace period after that agent has ended.
  void adopt(const KernelImage& image);

  // About as much as this comes soon. Makes room for it in the background, beside other work.
  void expect(const ExpectedSize& size);

  // Brings the kernel to these tables. The next ones may come after onTaken().
  void setTables(MadeTables made);

  // Takes what the kernel holds for what an earlier agent left, and brings it to the tables again.
  // `read` reads the kernel, on the control thread, when no program and no pass is on the way to
  // what it reads. `done` gets the first error, after the pass.
  using ReadKernel = std::function<Result<KernelImage>()>;
  void repair(ReadKernel read, std::function<void(Status)> done);

  // True once first tables are in the kernel as far as they fit, or maps were adopted.
  bool serving() const { return serving_; }

 private:
  void pass();
  void inSlices(const LongWork::Work& work, const std::function<void()>& done);
  bool makeRoom(Breather& breathe);
  void write();
  void written();
  void next();
  void tellInForce(std::shared_ptr<const InForce> inForce) const;
  void repairNow();
  void adoptAgain();
  void endRepairs(const Status& status);
  void report(const WriteReport& report, Nanos done);
  void retryLater();
  void noteHeld(const HeldStats& held);
  void publish();
  void keepTime();

  EventLoop& loop_;
  SystemClock clock_;
  CountingStore store_;
  IdRegistry& ids_;
  GracePeriod& grace_;
  std::uint32_t maxServices_;
  std::optional<MapWriter> writer_;  // always there
  OnPass onPass_;
  OnTables onTables_;
  OnTaken onTaken_;
  OnInForce onInForce_;
  MadeTables made_;                        // what is, or is to be, in the kernel
  MadeTables replaced_;                    // by `made_`
  std::optional<MadeTables> next_;         // came during a pass
  bool taking_ = false;                    // onTaken_ is still to be called for the newest
  std::set<std::string> changedClusters_;  // since onTables_ was told
  WriterStats stats_;
  std::optional<Nanos> changedAt_;  // the oldest change that is not in the kernel yet
  Backoff retryDelay_;
  struct Repair {
    ReadKernel read;
    std::function<void(Status)> done;
  };
  std::vector<Repair> repairs_;      // asked for
  std::vector<Repair> underRepair_;  // the pass under way is theirs
  enum class State : std::uint8_t { kIdle, kMakesRoom, kWaitsForRoom, kWrites, kRepairs };
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
