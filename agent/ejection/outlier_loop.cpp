// SPDX-License-Identifier: Apache-2.0
#include "ejection/outlier_loop.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/log.h"
#include "maps/client_text.h"

namespace sockmesh {
namespace {

// A change of the configuration waits for the end of a turn or a slice of this. Looking at so many
// clusters and hosts takes about as long as a slice.
constexpr Nanos kSlice = std::chrono::microseconds(200);
constexpr std::size_t kHostsInATurn = 300;

}  // namespace

Result<std::unique_ptr<OutlierLoop>> OutlierLoop::create(EventLoop& loop, Datapath& datapath,
                                                         const IdRegistry& ids, GracePeriod& grace,
                                                         const std::string& logPath) {
  std::unique_ptr<OutlierLoop> made(new OutlierLoop(loop, datapath, ids, grace, logPath));
  OutlierLoop* self = made.get();
  auto ring =
      EventRing::open(datapath.maps(), [self](const RingEvent& event) { self->onEvent(event); });
  if (!ring) return ring.error();
  made->ring_ = std::move(ring).value();
  return made;
}

OutlierLoop::OutlierLoop(EventLoop& loop, Datapath& datapath, const IdRegistry& ids,
                         GracePeriod& grace, const std::string& logPath)
    : loop_(loop),
      ids_(ids),
      states_(datapath, ids, grace),
      log_(clock_, logPath),
      detector_(states_, [this](const EjectionEvent& event) { log_.write(event); }),
      publishedOverlay_(detector_.overlay()),
      slices_(loop, kSlice) {
  states_.onDoubt([this](const std::string& cluster) {
    doubts_.insert(cluster);
    work();
  });
}

OutlierLoop::~OutlierLoop() {
  loop_.cancel(sweepTimer_);
  stopListening();
}

void OutlierLoop::watch(std::shared_ptr<const Snapshot> snapshot,
                        std::shared_ptr<const LbTables> tables, std::set<std::string> clusters) {
  if (news_) clusters.merge(news_->clusters);
  news_ = {std::move(snapshot), std::move(tables), std::move(clusters)};
  work();
}

// Does what is to be done. What comes meanwhile waits for the end of it, also in the ring.
void OutlierLoop::work() {
  if (std::exchange(working_, true)) return;
  const bool large = isLong();
  if (large) stopListening();
  slices_.run(
      large, [this](Breather& breathe) { workOff(breathe); },
      [this] {
        working_ = false;
        settle();
      });
}

bool OutlierLoop::isLong() const {
  if (!doubts_.empty()) return true;
  std::size_t hosts = sweepDue_ ? detector_.hostsDue(clock_.monotonic(), kHostsInATurn) : 0;
  if (news_) {
    hosts += detector_.hostsOf(news_->clusters, kHostsInATurn);
    for (const std::string& name : news_->clusters) {
      if (hosts > kHostsInATurn) break;
      const auto cluster = news_->tables->clusters.find(name);
      if (cluster != news_->tables->clusters.end()) hosts += cluster->second->endpoints.size();
    }
  }
  return hosts > kHostsInATurn;
}

void OutlierLoop::workOff(Breather& breathe) {
  watchNews(breathe);
  for (const std::string& cluster : std::exchange(doubts_, {})) states_.correct(cluster, breathe);
  if (std::exchange(sweepDue_, false)) detector_.sweep(clock_.monotonic(), breathe);
}

void OutlierLoop::watchNews(Breather& breathe) {
  const auto news = std::exchange(news_, std::nullopt);
  if (!news) return;
  std::map<std::string, WatchedCluster> changed;
  for (const std::string& name : news->clusters) {
    changed.emplace_hint(changed.end(), name, watchedOf(name, *news->snapshot, *news->tables));
    breathe();
  }
  detector_.watch(changed, clock_.monotonic(), breathe);
}

WatchedCluster OutlierLoop::watchedOf(const std::string& name, const Snapshot& snapshot,
                                      const LbTables& tables) {
  const auto facts = tables.clusters.find(name);
  const auto found = snapshot.clusters.find(name);
  if (facts == tables.clusters.end() || found == snapshot.clusters.end()) return {};
  auto assignment = snapshot.assignmentOf(*found->second);
  // Endpoints that an earlier agent left are watched as if they had been sent again.
  if (!assignment) assignment = facts->second->endpoints.assignment();
  return {found->second, std::move(assignment)};
}

// Listens only once the clusters are known. The ring still holds what happened while no agent ran.
void OutlierLoop::listen() {
  if (listening_) return;
  const auto watched = loop_.watch(ring_->fd(), [this] {
    ring_->drain();
    settle();
  });
  listening_ = watched.ok();
  if (!watched) logger("health")->error("the ring of events: {}", watched.error().message());
}

void OutlierLoop::stopListening() {
  if (std::exchange(listening_, false)) loop_.unwatch(ring_->fd());
}

void OutlierLoop::onEvent(const RingEvent& event) {
  const auto endpoint = ids_.endpointOf(event.endpointId);
  if (!endpoint) return;
  if (event.detection == Detection::kOwn) {
    logger("health")->info("cluster {}: {} ejected ({}) for {} alone", endpoint->first,
                           endpoint->second.toString(), detectorName(event.detector),
                           clientText(event.client));
  } else if (event.detection == Detection::kNotEnforced) {
    detector_.notEnforced(endpoint->first, endpoint->second, event.detector, event.at);
  } else {
    detector_.refresh(endpoint->first, endpoint->second, clock_.monotonic());
  }
}

// Called after anything that may have changed the detector: publishes its overlay and schedules its
// next sweep.
void OutlierLoop::settle() {
  if (news_ || !doubts_.empty() || sweepDue_) return work();
  listen();
  tellWarnings();
  if (detector_.overlay() != publishedOverlay_) {
    publishedOverlay_ = detector_.overlay();
    if (onOverlay_) onOverlay_(publishedOverlay_);
  }
  scheduleSweep();
}

void OutlierLoop::scheduleSweep() {
  loop_.cancel(std::exchange(sweepTimer_, 0));
  const auto next = detector_.nextSweep();
  if (!next) return;
  sweepTimer_ = loop_.after(std::max(*next - clock_.monotonic(), Nanos(0)), [this] {
    sweepTimer_ = 0;
    sweepDue_ = true;
    work();
  });
}

void OutlierLoop::tellWarnings() {
  const Warnings& now = detector_.warnings();
  const auto others = now.differing(warned_);
  if (others.empty()) return;
  for (const std::string& cluster : others) {
    const auto warning = now.find(cluster);
    if (warning == now.end()) continue;
    logger("health")->warn("cluster {}: {}", cluster, warning->second);
  }
  warned_ = now;
  if (onWarnings_) onWarnings_(warned_);
}

}  // namespace sockmesh
