// SPDX-License-Identifier: Apache-2.0
#include "daemon/agent.h"

#include <sys/signalfd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

#include "base/log.h"
#include "base/version.h"
#include "daemon/not_honoured_stats.h"
#include "daemon/unknowns.h"
#include "datapath/ejection_count.h"
#include "datapath/endpoint_state_reader.h"
#include "inspect/live_state.h"
#include "stats/agent_collector.h"
#include "stats/datapath_collector.h"
#include "stats/process_collector.h"

namespace sockmesh {
namespace {

constexpr Nanos kDatapathCheck = std::chrono::seconds(1);

}  // namespace

Result<std::unique_ptr<Agent>> Agent::create(const Config& config) {
  std::unique_ptr<Agent> agent(new Agent(config));
  auto loop = EventLoop::create();
  if (!loop) return loop.error();
  agent->loop_ = std::move(loop).value();
  if (auto ok = agent->watchSignals(); !ok) return ok.error();
  if (auto ok = agent->startAdmin(); !ok) return ok.error();
  if (auto ok = agent->openDatapath(); !ok) return ok.error();
  if (auto ok = agent->buildControlLoop(); !ok) return ok.error();
  agent->connectControlLoop();
  if (auto ok = agent->adoptRunningDatapath(); !ok) return ok.error();
  agent->startControlPlane();
  return agent;
}

Agent::~Agent() {
  // The client stops first: nothing may be posted to parts that are destroyed.
  if (ads_) ads_->stop();
}

Status Agent::watchSignals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  signals_ = UniqueFd(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals_.valid()) return Error::fromErrno("signalfd", errno);
  return loop_->watch(signals_.get(), [this] {
    signalfd_siginfo info{};
    if (read(signals_.get(), &info, sizeof(info)) != sizeof(info)) return;
    logger("main")->info(
        "{}: ending; the datapath stays in place until sockmeshd --cleanup --bpffs-root {}",
        strsignal(static_cast<int>(info.ssi_signo)), config_.datapath.bpffsRoot);
    loop_->stop();
  });
}

Status Agent::startAdmin() {
  state_.nodeId = config_.node.id();
  state_.startedAt = SystemClock().wall();
  const std::string bpffs = config_.datapath.bpffsRoot;
  const Collectables metrics = {
      std::make_shared<AgentCollector>([this] { return state_.stats.load(); }),
      std::make_shared<DatapathCollector>([bpffs] { return readDatapathStats(bpffs); },
                                          DatapathMetricsOptions{config_.endpointLabel}),
      std::make_shared<ProcessCollector>()};
  auto admin = AdminServer::start(config_.adminAddress, state_, metrics);
  if (!admin) return admin.error().in("admin");
  admin_ = std::move(admin).value();
  if (!config_.metricsAddress) return {};
  auto scraped = AdminServer::startMetrics(*config_.metricsAddress, state_, metrics);
  if (!scraped) return scraped.error().in("metrics");
  metrics_ = std::move(scraped).value();
  return {};
}

Status Agent::openDatapath() {
  auto datapath = Datapath::open(config_.datapath);
  if (!datapath) return datapath.error();
  datapath_ = std::move(datapath).value();
  if (auto ok = datapath_->registerAgent(); !ok) return ok.error();
  introduce();
  return {};
}

Status Agent::buildControlLoop() {
  auto grace = BackgroundGracePeriod::create(
      [this](std::function<void()> then) { loop_->post(std::move(then)); });
  if (!grace) return grace.error();
  grace_ = std::move(grace).value();
  kernel_ = std::make_unique<KernelStore>(datapath_->maps(), datapath_->ejections());
  reconciler_ =
      std::make_unique<Reconciler>(*loop_, *kernel_, ids_, *grace_, datapath_->maps().maxServices,
                                   CompilerOptions{.nodeLocality = config_.locality(),
                                                   .localCluster = config_.localCluster,
                                                   .affinity = config_.affinity,
                                                   .weightedRandom = config_.weightedRandom});
  auto outliers = OutlierLoop::create(*loop_, *datapath_, ids_, *grace_, config_.ejectionLogPath);
  if (!outliers) return outliers.error();
  outliers_ = std::move(outliers).value();
  sweep_ =
      std::make_unique<ConnectionSweep>(*loop_, *datapath_, *grace_, config_.datapath.bpffsRoot);
  return {};
}

// Tables go to the detector, and the detector's ejections come back into the tables.
void Agent::connectControlLoop() {
  outliers_->onOverlay([this](std::shared_ptr<const HealthOverlay> overlay) {
    reconciler_->setOverlay(std::move(overlay));
  });
  reconciler_->onTables([this](const Snapshot& snapshot, const LbTables& tables) {
    outliers_->watch(snapshot, tables);
    if (stats_.outlierWarnings == outliers_->warnings()) return;
    stats_.outlierWarnings = outliers_->warnings();
    publishStats();
  });
  reconciler_->onPass([this](const WriterStats& stats, const std::vector<LeftAlone>& conflicts) {
    stats_.writer = stats;
    state_.conflicts.store(std::make_shared<const std::vector<LeftAlone>>(conflicts));
    publishStats();
  });
}

// Takes over what an earlier agent left.
Status Agent::adoptRunningDatapath() {
  if (!datapath_->adopted()) return {};
  // Programs may still read what the earlier agent replaced last.
  auto wait = BlockingGracePeriod::create();
  if (!wait) return wait.error();
  (*wait)->after([] {});
  auto image = KernelImage::read(datapath_->maps());
  if (!image) return image.error();
  reconciler_->adopt(*image);
  for (const auto& [cluster, lost] : recountEjections(datapath_->maps(), ids_, **wait)) {
    logCorrected(cluster, lost);
  }
  // Set before the first tables, so that ejected endpoints stay out of them.
  reconciler_->setOverlay(
      std::make_shared<const HealthOverlay>(readEjections(datapath_->maps(), *image)));
  return {};
}

// The first line that an operator reads: what changed on this machine, and how to undo it.
void Agent::introduce() const {
  const std::string& bpffs = config_.datapath.bpffsRoot;
  logger("main")->info(
      "sockmeshd {} attached to {} (cgroup {}), pinned under {}{}; to undo that, end it and run "
      "sockmeshd --cleanup --bpffs-root {}; node {}, admin on {}",
      version(), datapath_->cgroupPath(), datapath_->cgroupId(), PinPath(bpffs).folder,
      datapath_->adopted() ? ", maps adopted" : "", bpffs, state_.nodeId,
      admin_->address().toString());
  for (const PinPath& other : PinPath::ofOtherVersions(bpffs)) {
    logger("datapath")
        ->warn(
            "{} holds programs of another version, which go on answering beside ours: remove them "
            "with sockmeshd --cleanup",
            other.folder);
  }
}

void Agent::startControlPlane() {
  AdsClientOptions options;
  options.channel.target = config_.xdsAddress;
  options.node = config_.node;
  ads_ = std::make_unique<AdsClient>(*loop_, resources_, std::move(options));
  AdsClient::Callbacks callbacks;
  callbacks.onSnapshot = [this](std::shared_ptr<const Snapshot> snapshot) {
    auto unknowns = unknownsOf(*snapshot, ads_->stats());
    snapshot = udpServices_.addTo(std::move(snapshot), unknowns);
    state_.snapshot.store(snapshot);
    stats_.notHonoured = notHonouredStats(*snapshot);
    reconciler_->setSnapshot(std::move(snapshot), std::move(unknowns));
  };
  callbacks.onStats = [this](const XdsStats& stats) {
    stats_.xds = stats;
    publishStats();
  };
  ads_->start(std::move(callbacks));
  watchDatapath();
  stats_.xds = ads_->stats();
  publishStats();
}

// No event says that a program was detached or the cgroup was removed, so a timer looks.
void Agent::watchDatapath() {
  stats_.attachments = datapath_->attachments();
  loop_->after(kDatapathCheck, [this] {
    datapath_->check();
    const bool changed = stats_.attachments != datapath_->attachments();
    watchDatapath();
    if (changed) publishStats();
  });
}

void Agent::publishStats() {
  state_.stats.store(std::make_shared<const AgentStats>(stats_));
  publishReadiness();
}

// Ready: the programs are attached, and hold either the first snapshot or adopted services.
void Agent::publishReadiness() {
  auto readiness = std::make_shared<Readiness>();
  const bool serving = reconciler_->serving();
  for (const AttachmentStats& one : stats_.attachments) {
    if (!one.attached) {
      readiness->reasons.push_back(one.program + " is not attached: " + one.problem);
    }
  }
  readiness->ready = serving && readiness->reasons.empty();
  if (!serving) {
    readiness->reasons.push_back(stats_.xds.connected
                                     ? "waiting for the first clusters and listeners"
                                     : "no connection to the control plane " + config_.xdsAddress);
  }
  if (auto held = stats_.writer.held.text(); !held.empty()) readiness->notes.push_back(held);
  state_.readiness.store(std::move(readiness));
}

void Agent::run() {
  loop_->run();
}

}  // namespace sockmesh
