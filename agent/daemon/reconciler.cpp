// SPDX-License-Identifier: Apache-2.0
#include "daemon/reconciler.h"

#include <algorithm>
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
                       std::uint32_t maxServices)
    : loop_(loop),
      store_(store),
      ids_(ids),
      grace_(grace),
      maxServices_(maxServices),
      retryDelay_(kFirstRetry, kLastRetry),
      self_(std::make_shared<Reconciler*>(this)),
      writing_(loop) {
  writer_.emplace(store_, ids_, grace_, maxServices_);
  keepTime();
}

Reconciler::~Reconciler() {
  *self_ = nullptr;
  loop_.cancel(retryTimer_);
  loop_.cancel(reapTimer_);
}

// The id of a removed endpoint is free when its last connection has ended. No event says when, so a
// timer looks.
void Reconciler::keepTime() {
  reapTimer_ = loop_.after(kReapInterval, [this] {
    writer_->reap();
    keepTime();
  });
}

void Reconciler::adopt(const KernelImage& image) {
  for (const std::string& line : image.broken) logger("datapath")->warn("broken: {}", line);
  const WriteReport report = writer_->adopt(image);
  for (const std::string& line : report.errors) logger("datapath")->warn("adopting: {}", line);
  serving_ = serving_ || writer_->services() > 0;
  if (!image.services.empty()) {
    logger("datapath")
        ->info("adopted {} services and {} endpoints, {} writes", writer_->services(),
               image.endpoints.size(), report.writes);
  }
  publish();
}

// Ids are given without gaps, from 1. A cluster has about one service with one group, and an
// endpoint one cell.
void Reconciler::expect(const ExpectedSize& size) {
  const auto clusters = static_cast<std::uint32_t>(size.clusters + 1);
  const auto endpoints = static_cast<std::uint32_t>(size.endpoints + 1);
  store_.makeRoom({.descriptors = clusters,
                   .groups = clusters,
                   .cells = endpoints,
                   .endpoints = endpoints,
                   .clusters = clusters},
                  [] {});
}

void Reconciler::setTables(MadeTables made) {
  taking_ = true;
  if (state_ != State::kIdle) {
    next_ = std::move(made);
    return;
  }
  if (changedClusters_.empty()) changedClusters_.swap(made.clusters);
  changedClusters_.merge(made.clusters);
  if (!changedAt_) changedAt_ = made.changedAt;
  replaced_ = std::exchange(made_, std::move(made));
  pass();
}

void Reconciler::inSlices(const LongWork::Work& work, const std::function<void()>& done) {
  writing_.run(writer_->isMoreThan(kShortWork, made_.tables), work, done);
}

void Reconciler::pass() {
  if (!made_.tables || state_ != State::kIdle) return;
  tellInForce(nullptr);
  state_ = State::kMakesRoom;
  inSlices([this](Breather& breathe) { room_ = makeRoom(breathe); },
           [this] { room_ ? write() : void(state_ = State::kWaitsForRoom); });
}

// Pages of tables take the kernel its time, many of them seconds: the loop goes on meanwhile.
bool Reconciler::makeRoom(Breather& breathe) {
  const auto ready = [&loop = loop_, self = self_] {
    loop.post([self] {
      if (*self != nullptr) (*self)->write();
    });
  };
  return writer_->makeRoom(made_.tables, ready, breathe);
}

void Reconciler::write() {
  state_ = State::kWrites;
  began_ = clock_.monotonic();
  inSlices(
      [this](Breather& breathe) {
        report_ = writer_->apply(made_.tables, made_.unknowns, breathe);
        for (const std::string& name : report_.tables->changed.clusters) {
          changedClusters_.insert(name);
          breathe();
        }
      },
      [this] { written(); });
}

void Reconciler::written() {
  state_ = State::kIdle;
  const WriteReport done = std::exchange(report_, {});
  tellInForce(std::make_shared<const InForce>(InForce{made_.snapshot, made_.tables, done.tables}));
  noteHeld(done.held);
  report(done, clock_.monotonic());
  if (!done.errors.empty()) retryLater();
  publish();
  auto clusters = std::exchange(changedClusters_, {});
  if (onTables_) onTables_(made_.snapshot, done.tables, std::move(clusters));
  endRepairs(done.errors.empty() ? Status() : Status(Error(done.errors.front())));
  next();
}

void Reconciler::tellInForce(std::shared_ptr<const InForce> inForce) const {
  if (onInForce_) onInForce_(std::move(inForce));
}

// What came up during a pass.
void Reconciler::next() {
  if (!repairs_.empty()) return repairNow();
  if (next_) return setTables(*std::exchange(next_, std::nullopt));
  if (std::exchange(taking_, false) && onTaken_) onTaken_(std::exchange(replaced_, {}));
}

void Reconciler::repair(ReadKernel read, std::function<void(Status)> done) {
  repairs_.push_back({std::move(read), std::move(done)});
  if (state_ == State::kIdle) repairNow();
}

// Waits until the programs, and the writer's continuations, are through with what was replaced:
// what nothing refers to then is free.
void Reconciler::repairNow() {
  state_ = State::kRepairs;
  tellInForce(nullptr);
  grace_.after([self = self_] {
    if (*self != nullptr) (*self)->adoptAgain();
  });
}

void Reconciler::adoptAgain() {
  state_ = State::kIdle;
  underRepair_ = std::exchange(repairs_, {});
  const auto image = underRepair_.front().read();
  if (!image) {
    endRepairs(image.error());
    return next();
  }
  logger("datapath")->info("repair: reading the kernel and writing the tables again");
  ids_.forget();
  writer_.emplace(store_, ids_, grace_, maxServices_);
  adopt(*image);
  if (made_.tables) {
    // Who goes by the ids looks at all of them again.
    for (const auto& [name, cluster] : made_.tables->clusters) changedClusters_.insert(name);
    return pass();
  }
  endRepairs({});
  next();
}

void Reconciler::endRepairs(const Status& status) {
  for (const Repair& one : std::exchange(underRepair_, {})) one.done(status);
}

void Reconciler::report(const WriteReport& report, Nanos done) {
  if (report.writes > 0) {
    logger("datapath")
        ->info("{} services added, {} changed, {} removed; {} writes in {:.1f} ms",
               report.servicesAdded, report.servicesChanged, report.servicesRemoved, report.writes,
               seconds(done - began_) * 1000);
    stats_.lastWriteAt = clock_.wall();
  }
  stats_.pending = report.errors;
  // The other services are served although one service does not fit.
  serving_ = serving_ || report.errors.empty() || writer_->services() > 0;
  if (!report.errors.empty()) return;
  loop_.cancel(std::exchange(retryTimer_, 0));
  retryDelay_.reset();
  if (changedAt_) {
    stats_.convergence.observe(seconds(done - *std::exchange(changedAt_, std::nullopt)));
  }
}

void Reconciler::retryLater() {
  loop_.cancel(retryTimer_);
  const Nanos delay = retryDelay_.next();
  logger("datapath")
      ->error("{} changes are not in the kernel, next attempt in {} s; the first: {}",
              stats_.pending.size(), seconds(delay), stats_.pending.front());
  retryTimer_ = loop_.after(delay, [this] {
    retryTimer_ = 0;
    pass();
  });
}

void Reconciler::noteHeld(const HeldStats& held) {
  if (held == stats_.held) return;
  const std::string before = stats_.held.text();
  stats_.held = held;
  const std::string now = held.text();
  if (now == before) return;
  logger("datapath")->info("{}", now.empty() ? "no service is held any more" : now);
}

void Reconciler::publish() {
  stats_.writes = store_.writes();
  stats_.errors = store_.errors();
  static const Conflicts kNone = std::make_shared<const std::vector<LeftAlone>>();
  if (onPass_) onPass_(stats_, made_.tables ? made_.tables->conflicts : kNone);
}

}  // namespace sockmesh
