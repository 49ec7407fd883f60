// SPDX-License-Identifier: Apache-2.0
#include "ejection/outlier_loop.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "datapath/client_text.h"

namespace sockmesh {

namespace {

// What the detector needs to know of endpoints: their addresses.
std::shared_ptr<const LoadAssignment> assignmentFrom(const LbCluster& facts) {
  auto assignment = std::make_shared<LoadAssignment>();
  LocalityEndpoints& all = assignment->localities.emplace_back();
  for (const LbEndpoint& endpoint : facts.endpoints) {
    all.endpoints.emplace_back().address = endpoint.address;
  }
  return assignment;
}

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
      publishedOverlay_(detector_.overlay()) {}

OutlierLoop::~OutlierLoop() {
  loop_.cancel(sweepTimer_);
  if (listening_) loop_.unwatch(ring_->fd());
}

void OutlierLoop::watch(const Snapshot& snapshot, const LbTables& tables,
                        const std::set<std::string>& clusters) {
  std::map<std::string, WatchedCluster> changed;
  for (const std::string& name : clusters) {
    changed.emplace_hint(changed.end(), name, watchedOf(name, snapshot, tables));
  }
  detector_.watch(changed, clock_.monotonic());
  logWarnings();
  settle();
  listen();
}

WatchedCluster OutlierLoop::watchedOf(const std::string& name, const Snapshot& snapshot,
                                      const LbTables& tables) {
  const auto facts = tables.clusters.find(name);
  const auto found = snapshot.clusters.find(name);
  if (facts == tables.clusters.end() || found == snapshot.clusters.end()) {
    held_.erase(name);
    return {};
  }
  auto assignment = snapshot.assignmentOf(*found->second);
  if (assignment || facts->second->endpoints.empty()) {
    held_.erase(name);
    return {found->second, std::move(assignment)};
  }
  // Endpoints that an earlier agent left: watched as if they had been sent again.
  Held& held = held_[name];
  if (held.facts != facts->second) held = {facts->second, assignmentFrom(*facts->second)};
  return {found->second, held.assignment};
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
    detector_.refresh(endpoint->first, clock_.monotonic());
  }
}

// Called after anything that may have changed the detector: publishes its overlay and schedules its
// next sweep.
void OutlierLoop::settle() {
  if (detector_.overlay() != publishedOverlay_) {
    publishedOverlay_ = detector_.overlay();
    if (onOverlay_) onOverlay_(publishedOverlay_);
  }
  loop_.cancel(std::exchange(sweepTimer_, 0));
  const auto next = detector_.nextSweep();
  if (!next) return;
  sweepTimer_ = loop_.after(std::max(*next - clock_.monotonic(), Nanos(0)), [this] {
    sweepTimer_ = 0;
    detector_.sweep(clock_.monotonic());
    settle();
  });
}

void OutlierLoop::logWarnings() {
  for (const std::string& cluster : detector_.warnings().differing(warned_)) {
    const auto warning = detector_.warnings().find(cluster);
    if (warning == detector_.warnings().end()) continue;
    logger("health")->warn("cluster {}: {}", cluster, warning->second);
  }
  warned_ = detector_.warnings();
}

}  // namespace sockmesh
