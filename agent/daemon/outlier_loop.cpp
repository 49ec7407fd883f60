#include "daemon/outlier_loop.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "base/log.h"
#include "datapath/ejection_count.h"
#include "datapath/outlier_lines.h"

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

void logCorrected(const std::string& cluster, std::int32_t lost) {
  logger("health")->warn("cluster {}: {} endpoints too {} were counted as ejected; put right",
                         cluster, std::abs(lost), lost > 0 ? "many" : "few");
}

std::optional<EndpointLine> KernelLines::read(const std::string& cluster,
                                              const SocketAddress& address) const {
  const std::uint32_t id = ids_.endpointId(cluster, address);
  if (id == 0) return std::nullopt;
  return readEndpointLine(maps_, id);
}

Detection KernelLines::detect(const std::string& cluster, const SocketAddress& address,
                              Detector detector, std::uint32_t enforcingPercent) {
  const std::uint32_t id = ids_.endpointId(cluster, address);
  if (id == 0) return Detection::kNone;
  const auto detection = ejections_.detect(id, detector, enforcingPercent);
  if (!detection) logger("health")->error("{}", detection.error().message());
  return detection ? *detection : Detection::kNone;
}

bool KernelLines::takeBack(const std::string& cluster, const SocketAddress& address) {
  const std::uint32_t id = ids_.endpointId(cluster, address);
  if (id == 0) return false;
  const auto returned = ejections_.takeBack(id);
  if (!returned) logger("health")->error("{}", returned.error().message());
  return returned && *returned;
}

bool KernelLines::anyEjected(const std::string& cluster) const {
  return countsEjected(maps_, ids_.clusterId(cluster));
}

void KernelLines::recount(const std::string& cluster) {
  const std::uint32_t id = ids_.clusterId(cluster);
  const std::int32_t surplus = ejectionSurplus(maps_, id, ids_.endpointsOf(cluster));
  if (surplus == 0) return;
  // Perhaps a program is between the line and the count; after a grace period it is not.
  grace_.after([this, alive = std::weak_ptr<int>(alive_), cluster, id, surplus] {
    if (alive.expired() || ids_.clusterId(cluster) != id) return;
    const auto lost = correctEjections(maps_, id, ids_.endpointsOf(cluster), surplus);
    if (lost != 0) logCorrected(cluster, lost);
  });
}

void KernelLines::setMultiplier(const std::string& cluster, const SocketAddress& address,
                                std::uint32_t multiplier) {
  const std::uint32_t id = ids_.endpointId(cluster, address);
  if (id != 0) writeMultiplier(maps_, id, multiplier);
}

Result<std::unique_ptr<OutlierLoop>> OutlierLoop::create(EventLoop& loop, Datapath& datapath,
                                                         const IdRegistry& ids, GracePeriod& grace,
                                                         const std::string& logPath,
                                                         OnOverlay onOverlay) {
  std::unique_ptr<OutlierLoop> made(
      new OutlierLoop(loop, datapath, ids, grace, logPath, std::move(onOverlay)));
  OutlierLoop* self = made.get();
  auto ring =
      EventRing::open(datapath.maps(), [self](const RingEvent& event) { self->onEvent(event); });
  if (!ring) return ring.error();
  made->ring_ = std::move(ring).value();
  return made;
}

OutlierLoop::OutlierLoop(EventLoop& loop, Datapath& datapath, const IdRegistry& ids,
                         GracePeriod& grace, const std::string& logPath, OnOverlay onOverlay)
    : loop_(loop),
      ids_(ids),
      lines_(datapath, ids, grace),
      log_(clock_, logPath),
      detector_(lines_, [this](const EjectionEvent& event) { log_.write(event); }),
      onOverlay_(std::move(onOverlay)),
      told_(detector_.overlay()) {}

OutlierLoop::~OutlierLoop() {
  loop_.cancel(sweepTimer_);
  if (listening_) loop_.unwatch(ring_->fd());
}

void OutlierLoop::watch(const Snapshot& snapshot, const LbTables& tables) {
  std::map<std::string, WatchedCluster> clusters;
  std::map<std::string, Held> held;
  for (const auto& [name, facts] : tables.clusters) {
    const auto found = snapshot.clusters.find(name);
    if (found == snapshot.clusters.end()) continue;
    auto assignment = snapshot.assignmentOf(*found->second);
    if (!assignment && !facts->endpoints.empty()) {
      // Endpoints that an earlier agent left: watched as if they had been sent again.
      const auto known = held_.find(name);
      const bool same = known != held_.end() && known->second.facts == facts;
      held[name] = same ? known->second : Held{facts, assignmentFrom(*facts)};
      assignment = held[name].assignment;
    }
    clusters.emplace_hint(clusters.end(), name, WatchedCluster{found->second, assignment});
  }
  held_ = std::move(held);
  detector_.watch(clusters, clock_.monotonic());
  logWarnings();
  settle();
  listen();
}

// Not before the clusters are known: what happened while no agent was there is in the ring still.
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
  if (event.detection == Detection::kNotEnforced) {
    detector_.notEnforced(endpoint->first, endpoint->second, event.detector, event.at);
  } else {
    detector_.refresh(endpoint->first, clock_.monotonic());
  }
}

// After anything that may have changed the detector: its overlay is told, its next sweep is due.
void OutlierLoop::settle() {
  if (detector_.overlay() != told_) {
    told_ = detector_.overlay();
    onOverlay_(told_);
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
  for (const auto& [cluster, text] : detector_.warnings()) {
    const auto before = warned_.find(cluster);
    if (before != warned_.end() && before->second == text) continue;
    logger("health")->warn("cluster {}: {}", cluster, text);
  }
  warned_ = detector_.warnings();
}

}  // namespace sockmesh
