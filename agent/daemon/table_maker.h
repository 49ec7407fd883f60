// SPDX-License-Identifier: Apache-2.0
// Snapshot + HealthOverlay -> LbTables, when one of the two changes and when time alone changes the
// result. It lives on the configuration thread, beside the ADS client, so that a large mesh does
// not hold up the control thread. One set of tables is on its way to the reconciler at a time: what
// changes meanwhile is in the next one.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "base/clock.h"
#include "base/event_loop.h"
#include "lb/compiler.h"
#include "model/changes.h"
#include "model/health_overlay.h"
#include "model/snapshot.h"
#include "model/unknowns.h"

namespace sockmesh {

// Tables, and what they come from. Immutable.
struct MadeTables {
  std::shared_ptr<const Snapshot> snapshot;
  Unknowns unknowns;
  std::shared_ptr<const LbTables> tables;
  // The clusters of which anything is other than in the tables made before.
  std::set<std::string> clusters;
  // CLOCK_MONOTONIC of the oldest change that is new in them; nothing: time alone changed them.
  std::optional<Nanos> changedAt;
};

// How much the first tables will hold, as far as it is known before they are made.
struct ExpectedSize {
  std::size_t clusters = 0;
  std::size_t endpoints = 0;
};

class TableMaker {
 public:
  using OnTables = std::function<void(MadeTables)>;
  using OnExpected = std::function<void(const ExpectedSize&)>;

  // `loop` outlives this; everything here is for its thread, the calls too. `onExpected` is called
  // before the first tables, whenever more is known; it may be empty.
  TableMaker(EventLoop& loop, CompilerOptions options, OnTables onTables,
             OnExpected onExpected = {});
  ~TableMaker();
  TableMaker(const TableMaker&) = delete;
  TableMaker& operator=(const TableMaker&) = delete;

  // Call with each snapshot that the store handed out, in order. Of a snapshot that is not complete
  // no tables are made, because what it lacks is unknown. Services that depend on `unknowns` stay
  // as the kernel has them.
  void setSnapshot(std::shared_ptr<const Snapshot> snapshot, Unknowns unknowns = {});
  void setOverlay(std::shared_ptr<const HealthOverlay> overlay);
  // The tables that were made last are taken care of, and the next ones may come.
  void taken();

 private:
  void expect();
  void schedule(bool changed);
  void make();

  EventLoop& loop_;
  SystemClock clock_;
  OnTables onTables_;
  OnExpected onExpected_;
  std::size_t expectedEndpoints_ = 0;
  Compiler compiler_;
  std::shared_ptr<const Snapshot> snapshot_;
  Unknowns unknowns_;
  std::shared_ptr<const HealthOverlay> overlay_ = std::make_shared<HealthOverlay>();
  Changes changes_ = Changes::everything();  // since the last tables; at first anything
  std::optional<Nanos> changedAt_;           // the oldest of them
  bool due_ = false;                         // there is something to make
  bool posted_ = false;
  bool underWay_ = false;  // the last tables are not taken care of yet
  EventLoop::TimerId timeTimer_ = 0;
  std::shared_ptr<TableMaker*> self_;  // for posted tasks that outlive this
};

}  // namespace sockmesh
