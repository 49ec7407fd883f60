// SPDX-License-Identifier: Apache-2.0
#include "daemon/table_maker.h"

#include <algorithm>
#include <utility>

namespace sockmesh {

TableMaker::TableMaker(EventLoop& loop, CompilerOptions options, OnTables onTables,
                       OnExpected onExpected)
    : loop_(loop),
      onTables_(std::move(onTables)),
      onExpected_(std::move(onExpected)),
      compiler_(std::move(options)),
      self_(std::make_shared<TableMaker*>(this)) {}

TableMaker::~TableMaker() {
  *self_ = nullptr;
  loop_.cancel(timeTimer_);
}

void TableMaker::setSnapshot(std::shared_ptr<const Snapshot> snapshot, Unknowns unknowns) {
  snapshot_ = std::move(snapshot);
  changes_.merge(snapshot_->changed);
  unknowns_ = std::move(unknowns);
  snapshot_->complete ? schedule(true) : expect();
}

// Listeners come last. Endpoints, whose tables are the large ones, are known by then. Those of an
// assignment that changes meanwhile count twice: this is no more than a guess.
void TableMaker::expect() {
  const std::size_t before = expectedEndpoints_;
  for (const std::string& name : snapshot_->changed.assignments) {
    const auto found = snapshot_->assignments.find(name);
    if (found != snapshot_->assignments.end()) {
      expectedEndpoints_ += found->second->endpointCount();
    }
  }
  if (!onExpected_ || expectedEndpoints_ == before) return;
  onExpected_({snapshot_->clusters.size(), expectedEndpoints_});
}

void TableMaker::setOverlay(std::shared_ptr<const HealthOverlay> overlay) {
  Changes ejections;
  ejections.clusters = overlay->byCluster.differing(overlay_->byCluster);
  changes_.merge(ejections);
  overlay_ = std::move(overlay);
  schedule(true);
}

void TableMaker::taken() {
  underWay_ = false;
  if (due_) schedule(false);
}

// Several changes in one turn of the loop are in the same tables.
void TableMaker::schedule(bool changed) {
  due_ = true;
  if (changed && !changedAt_) changedAt_ = clock_.monotonic();
  if (underWay_ || std::exchange(posted_, true)) return;
  loop_.post([self = self_] {
    if (*self == nullptr) return;
    (*self)->posted_ = false;
    (*self)->make();
  });
}

void TableMaker::make() {
  if (!due_ || underWay_ || !snapshot_ || !snapshot_->complete) return;
  const Nanos now = clock_.monotonic();
  MadeTables made;
  made.tables = compiler_.compile(*snapshot_, *overlay_, std::exchange(changes_, {}), now);
  made.snapshot = snapshot_;
  made.unknowns = unknowns_;
  made.clusters = compiler_.takeChangedClusters();
  made.changedAt = std::exchange(changedAt_, std::nullopt);
  due_ = false;
  underWay_ = true;
  loop_.cancel(std::exchange(timeTimer_, 0));
  if (const auto next = compiler_.nextChange()) {
    timeTimer_ = loop_.after(std::max(*next - now, Nanos(0)), [this] {
      timeTimer_ = 0;
      schedule(false);
    });
  }
  onTables_(std::move(made));
}

}  // namespace sockmesh
