// SPDX-License-Identifier: Apache-2.0
#include "daemon/reconciler.h"

#include <algorithm>
#include <set>
#include <utility>

#include "base/log.h"

namespace sockmesh {
namespace {

constexpr Nanos kFirstRetry = std::chrono::seconds(1);
constexpr Nanos kLastRetry = std::chrono::seconds(30);
constexpr Nanos kReapInterval = std::chrono::seconds(10);

double seconds(Nanos nanos) {
  return std::chrono::duration<double>(nanos).count();
}

}  // namespace

Reconciler::Reconciler(EventLoop& loop, TableStore& store, IdRegistry& ids, GracePeriod& grace,
                       std::uint32_t maxServices, CompilerOptions options)
    : loop_(loop),
      store_(store),
      writer_(store_, ids, grace, maxServices),
      compiler_(std::move(options)),
      retryDelay_(kFirstRetry, kLastRetry),
      self_(std::make_shared<Reconciler*>(this)) {
  keepTime();
}

Reconciler::~Reconciler() {
  *self_ = nullptr;
  loop_.cancel(retryTimer_);
  loop_.cancel(timeTimer_);
  loop_.cancel(reapTimer_);
}

// The id of a removed endpoint is free when its last connection has ended. No event says when, so a
// timer looks.
void Reconciler::keepTime() {
  reapTimer_ = loop_.after(kReapInterval, [this] {
    writer_.reap();
    keepTime();
  });
}

void Reconciler::adopt(const KernelImage& image) {
  for (const std::string& line : image.broken) logger("datapath")->warn("broken: {}", line);
  const WriteReport report = writer_.adopt(image);
  for (const std::string& line : report.errors) logger("datapath")->warn("adopting: {}", line);
  serving_ = writer_.services() > 0;
  if (!image.services.empty()) {
    logger("datapath")
        ->info("adopted {} services and {} endpoints, {} writes", writer_.services(),
               image.endpoints.size(), report.writes);
  }
  publish();
}

void Reconciler::setSnapshot(std::shared_ptr<const Snapshot> snapshot, Unknowns unknowns) {
  snapshot_ = std::move(snapshot);
  unknowns_ = std::move(unknowns);
  if (snapshot_->complete) schedule();
}

void Reconciler::setOverlay(std::shared_ptr<const HealthOverlay> overlay) {
  overlay_ = std::move(overlay);
  schedule();
}

// Several changes in one turn of the loop are one pass.
void Reconciler::schedule() {
  if (!changedAt_) changedAt_ = clock_.monotonic();
  if (std::exchange(scheduled_, true)) return;
  loop_.post([self = self_] {
    if (*self == nullptr) return;
    (*self)->scheduled_ = false;
    (*self)->pass();
  });
}

void Reconciler::pass() {
  if (!snapshot_ || !snapshot_->complete || room_ == Room::kInTheMaking) return;
  const Nanos now = clock_.monotonic();
  const auto tables = compiler_.compile(*snapshot_, *overlay_, now);
  if (!hasRoom(*tables)) return;
  write(tables, now);
}

// Pages of tables take the kernel its time, many of them seconds: the loop goes on meanwhile, and
// what changes until they are there is in the same pass.
bool Reconciler::hasRoom(const LbTables& tables) {
  const bool made = std::exchange(room_, Room::kUnknown) == Room::kMade;
  if (made || writer_.makeRoom(tables, [&loop = loop_, self = self_] {
        loop.post([self] {
          if (*self == nullptr) return;
          (*self)->room_ = Room::kMade;
          (*self)->pass();
        });
      })) {
    return true;
  }
  room_ = Room::kInTheMaking;
  return false;
}

void Reconciler::write(const std::shared_ptr<const LbTables>& tables, Nanos began) {
  conflicts_ = tables->conflicts;
  const WriteReport written = writer_.apply(tables, unknowns_);
  noteHeld(written.held);
  const Nanos done = clock_.monotonic();
  report(written, began, done);
  scheduleNext(!written.errors.empty(), done);
  publish();
  if (onTables_) onTables_(*snapshot_, *written.tables);
}

void Reconciler::report(const WriteReport& report, Nanos began, Nanos done) {
  if (report.writes > 0) {
    logger("datapath")
        ->info("{} services added, {} changed, {} removed; {} writes in {:.1f} ms",
               report.servicesAdded, report.servicesChanged, report.servicesRemoved, report.writes,
               seconds(done - began) * 1000);
    stats_.lastWriteAt = clock_.wall();
  }
  stats_.pending = report.errors;
  // The other services are served although one service does not fit.
  serving_ = serving_ || report.errors.empty() || writer_.services() > 0;
  if (report.errors.empty() && changedAt_) {
    stats_.convergence.observe(seconds(done - *std::exchange(changedAt_, {})));
  }
}

// The next pass that no change asks for: after a failed write, or when time changes the tables.
void Reconciler::scheduleNext(bool failed, Nanos now) {
  loop_.cancel(std::exchange(retryTimer_, 0));
  if (failed) {
    const Nanos delay = retryDelay_.next();
    logger("datapath")
        ->error("{} changes are not in the kernel, next attempt in {} s; the first: {}",
                stats_.pending.size(), seconds(delay), stats_.pending.front());
    retryTimer_ = loop_.after(delay, [this] { pass(); });
  } else {
    retryDelay_.reset();
  }
  loop_.cancel(std::exchange(timeTimer_, 0));
  if (const auto next = compiler_.nextChange()) {
    timeTimer_ = loop_.after(std::max(*next - now, Nanos(0)), [this] { pass(); });
  }
}

void Reconciler::noteHeld(const std::vector<HeldService>& held) {
  HeldStats stats;
  stats.services = held.size();
  std::set<std::string> clusters, listeners;
  for (const HeldService& one : held) {
    clusters.insert(one.clusters.begin(), one.clusters.end());
    if (one.clusters.empty()) listeners.insert(one.name);
  }
  stats.clusters.assign(clusters.begin(), clusters.end());
  stats.listeners.assign(listeners.begin(), listeners.end());
  if (stats == stats_.held) return;
  stats_.held = std::move(stats);
  logger("datapath")->info("{}", held.empty() ? "no service is held any more" : stats_.held.text());
}

void Reconciler::publish() {
  stats_.writes = store_.writes();
  stats_.errors = store_.errors();
  if (onPass_) onPass_(stats_, conflicts_);
}

}  // namespace sockmesh
