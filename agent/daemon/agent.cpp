// SPDX-License-Identifier: Apache-2.0
#include "daemon/agent.h"

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <future>
#include <utility>

#include "base/capabilities.h"
#include "base/log.h"
#include "base/version.h"
#include "config/node_identity.h"
#include "daemon/system_call_filter.h"
#include "daemon/workload_names.h"
#include "inspect/attachment_info.h"
#include "inspect/live_state.h"
#include "maps/endpoint_state_reader.h"
#include "stats/agent_collector.h"
#include "stats/datapath_collector.h"
#include "stats/process_collector.h"
#include "writer/ejection_count.h"

namespace sockmesh {
namespace {

constexpr Nanos kDatapathCheck = std::chrono::seconds(1);
constexpr Nanos kVerifyPatience = std::chrono::seconds(20);

// Sanitizers make system calls of their own, ptrace() among them.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kIsInstrumented = true;
#else
constexpr bool kIsInstrumented = false;
#endif

// CAP_BPF, or CAP_SYS_ADMIN in its place: the kernel takes either, and an agent that was started
// with CAP_SYS_ADMIN alone keeps it.
int mapCapability() {
  return Capabilities::effective().has(CAP_BPF) ? CAP_BPF : CAP_SYS_ADMIN;
}

// For a thread, which has nobody to report an error to. No kernel refuses to take privileges away.
void limitOrEnd(const Capabilities& keep) {
  if (!limitThread(keep)) std::abort();
}

}  // namespace

Result<std::unique_ptr<Agent>> Agent::create(const Config& config) {
  std::unique_ptr<Agent> agent(new Agent(config));
  if (auto ok = agent->startHelper(); !ok) return ok.error();
  auto loop = EventLoop::create();
  if (!loop) return loop.error();
  agent->loop_ = std::move(loop).value();
  if (auto ok = agent->watchSignals(); !ok) return ok.error();
  if (auto ok = agent->startAdmin(); !ok) return ok.error();
  if (auto ok = agent->startConfiguration(); !ok) return ok.error();
  // Programs that are attached already would rewrite the agent's own connections until it is
  // registered.
  const bool first = !Datapath::isPinned(config.datapath.bpffsRoot);
  if (auto ok = agent->openMaps(); !ok) return ok.error();
  Result<Programs> programs = first ? agent->loadBeside() : agent->datapath_->load();
  if (!programs) return programs.error();
  if (auto ok = agent->giveUpPrivileges(); !ok) return ok.error();
  if (auto ok = agent->buildControlLoop(); !ok) return ok.error();
  agent->connectControlLoop();
  if (!first) {
    if (auto ok = agent->takeOver(std::move(programs).value()); !ok) return ok.error();
  }
  if (auto ok = agent->startControlPlane(); !ok) return ok.error();
  agent->publishStats();
  return agent;
}

Agent::~Agent() {
  stopping_.request_stop();
  if (loading_.joinable()) loading_.join();
  // First: nothing may be posted to parts that are destroyed.
  configuration_.reset();
}

// First of all: the helper shares what this process has when it forks.
Status Agent::startHelper() {
  if (!Capabilities::effective().has(CAP_SYS_ADMIN)) return {};
  auto helper = PrivilegedHelper::start(config_.datapath.bpffsRoot);
  if (!helper) return helper.error().in("helper process");
  helper_ = std::move(helper).value();
  return {};
}

// What stays: maps need CAP_BPF, and to attach a program again needs CAP_NET_ADMIN.
Status Agent::giveUpPrivileges() const {
  if (auto ok = limitThread({mapCapability(), CAP_NET_ADMIN}); !ok) return ok;
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return Error::fromErrno("prctl", errno);
  if (config_.seccomp && !kIsInstrumented) {
    if (auto ok = filterSystemCalls(); !ok) {
      return Error(ok.error().message() + "; hardening.seccomp: false does without");
    }
  }
  logger("main")->debug("goes on with {}", Capabilities::effective().names());
  return {};
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
  state_.nodeNamespace = namespaceOf(config_.node);
  state_.startedAt = SystemClock().wall();
  const std::string bpffs = config_.datapath.bpffsRoot;
  const Collectables metrics = {
      std::make_shared<AgentCollector>([this] { return state_.stats.load(); }, loop_->turnTimes()),
      std::make_shared<DatapathCollector>(
          [this, bpffs] {
            return withWorkloads(readDatapathStats(bpffs), state_.snapshot.load().get());
          },
          DatapathMetricsOptions{config_.endpointLabel, config_.istioNames,
                                 config_.endpointLabel && config_.workloads}),
      std::make_shared<ProcessCollector>()};
  const AdminOptions options = {.allowedHosts = config_.adminAllowedHosts,
                                .verify = [this] { return verify(); },
                                .repair = [this] { return repair(); },
                                .onConnectionThread = [] { limitOrEnd({}); },
                                .onWorkerThread = [] { limitOrEnd({mapCapability()}); }};
  auto listeners = HttpListeners::open(config_.adminAddress);
  if (!listeners) return listeners.error();
  if (auto ok = addAdminSocket(*listeners); !ok) return ok;
  auto admin = AdminServer::start(std::move(listeners).value(), state_, metrics, options);
  if (!admin) return admin.error().in("admin");
  admin_ = std::move(admin).value();
  if (!config_.metricsAddress) return {};
  auto scraped = HttpListeners::open(*config_.metricsAddress);
  if (!scraped) return scraped.error().in("metrics");
  auto server = AdminServer::startMetrics(std::move(scraped).value(), state_, metrics, options);
  if (!server) return server.error().in("metrics");
  metrics_ = std::move(server).value();
  return {};
}

// In a container whose file system is read-only the default path cannot be made. Nobody asked for
// it there, so the agent goes on without.
Status Agent::addAdminSocket(HttpListeners& listeners) const {
  if (config_.adminSocket.empty()) return {};
  const Status added = listeners.addSocket(config_.adminSocket);
  if (added || config_.adminSocketIsGiven) return added;
  logger("admin")->warn("{}; nobody can change log levels", added.error().message());
  return {};
}

Status Agent::openMaps() {
  config_.datapath.calls = helper_;
  auto datapath = Datapath::openMaps(config_.datapath);
  if (!datapath) return datapath.error();
  datapath_ = std::move(datapath).value();
  return {};
}

// The first agent of a node: the maps are filled while the kernel takes its time to verify the
// programs. Call before the privileges are given up: the thread keeps them until it ends. Returns
// no programs, because there are none yet.
Programs Agent::loadBeside() {
  loading_ = std::thread([this] {
    auto loaded = std::make_shared<Result<Programs>>(datapath_->load());
    loop_->post([this, loaded] {
      loading_.join();
      failure_ = *loaded ? begin(std::move(*loaded).value()) : Status(loaded->error());
      if (!failure_) loop_->stop();
    });
  });
  return {};
}

// An agent was here before, and its programs are attached.
Status Agent::takeOver(Programs programs) {
  if (auto ok = begin(std::move(programs)); !ok) return ok;
  return adoptRunningDatapath();
}

// From now on connections are balanced.
Status Agent::begin(Programs programs) {
  if (auto ok = datapath_->attach(std::move(programs)); !ok) return ok;
  if (auto ok = datapath_->registerAgent(); !ok) return ok;
  introduce();
  sweep_ = std::make_unique<ConnectionSweep>(*loop_, *datapath_, *grace_, [this] {
    constexpr const char* kLink = "sm_sock_ops";
    return helper_ ? helper_->programsBehindOurs(kLink)
                   : programsBehindOurs(config_.datapath.bpffsRoot, kLink);
  });
  if (auto ok = startPodWatch(); !ok) return ok;
  watchDatapath();
  publishStats();
  return {};
}

Status Agent::buildControlLoop() {
  // Before anything is served.
  auto served =
      ServedPods::start(*loop_, datapath_->maps(), datapath_->cgroupPath(), config_.served);
  if (!served) return served.error();
  served_ = std::move(served).value();
  // Known before anybody may ask whether the agent is ready.
  if (config_.podWatch) stats_.podWatch.emplace().address = config_.podWatch->server.address;
  auto grace = BackgroundGracePeriod::create(
      [this](std::function<void()> then) { loop_->post(std::move(then)); });
  if (!grace) return grace.error();
  grace_ = std::move(grace).value();
  kernel_ = std::make_unique<KernelStore>(datapath_->maps(), datapath_->ejections());
  reconciler_ =
      std::make_unique<Reconciler>(*loop_, *kernel_, ids_, *grace_, datapath_->maps().maxServices);
  auto outliers = OutlierLoop::create(*loop_, *datapath_, ids_, *grace_, config_.ejectionLogPath);
  if (!outliers) return outliers.error();
  outliers_ = std::move(outliers).value();
  staleLimit_ = std::make_unique<StaleLimit>(*loop_, datapath_->staleTime(), config_.staleAfter,
                                             [this] { publishReadiness(); });
  return {};
}

// Nothing comes in before startControlPlane(), and nothing that the thread posts to the control
// loop runs before run(). The thread has from the beginning only what giveUpPrivileges() leaves,
// and so have the threads that are made on it.
Status Agent::startConfiguration() {
  news_ = std::make_unique<Latest<ConfigurationThread::News>>(
      *loop_, [this](ConfigurationThread::News news) { takeNews(std::move(news)); });
  ConfigurationThread::Events events;
  events.onSnapshot = [this](std::shared_ptr<const Snapshot> snapshot) {
    state_.snapshot.store(std::move(snapshot));
  };
  events.onTables = [this](MadeTables made) {
    loop_->post(
        [this, made = std::move(made)]() mutable { reconciler_->setTables(std::move(made)); });
  };
  events.onExpected = [this](const ExpectedSize& size) {
    loop_->post([this, size] { reconciler_->expect(size); });
  };
  events.onNews = [this](ConfigurationThread::News news) { news_->put(std::move(news)); };
  const auto onThread = [] {
    limitOrEnd({mapCapability(), CAP_NET_ADMIN});
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  };
  auto thread = ConfigurationThread::create(config_, onThread, std::move(events));
  if (!thread) return thread.error();
  configuration_ = std::move(thread).value();
  return {};
}

void Agent::takeNews(ConfigurationThread::News news) {
  stats_.xds = std::move(news.xds);
  stats_.dns = std::move(news.dns);
  stats_.notHonoured = std::move(news.notHonoured);
  staleLimit_->setConnected(stats_.xds.connected || config_.localResources.alone);
  publishStats();
}

// Tables go to the detector, and the detector's ejections come back into the tables.
void Agent::connectControlLoop() {
  outliers_->onOverlay([this](std::shared_ptr<const HealthOverlay> overlay) {
    configuration_->setOverlay(std::move(overlay));
  });
  reconciler_->onInForce(
      [this](std::shared_ptr<const InForce> inForce) { inForce_.store(std::move(inForce)); });
  reconciler_->onTaken([this](MadeTables replaced) { configuration_->taken(std::move(replaced)); });
  outliers_->onWarnings([this](const OutlierLoop::Warnings& warnings) {
    stats_.outlierWarnings = warnings;
    publishStats();
  });
  reconciler_->onTables([this](std::shared_ptr<const Snapshot> snapshot,
                               std::shared_ptr<const LbTables> tables,
                               std::set<std::string> clusters) {
    outliers_->watch(std::move(snapshot), std::move(tables), std::move(clusters));
  });
  reconciler_->onPass([this](const WriterStats& stats, const Reconciler::Conflicts& conflicts) {
    stats_.writer = stats;
    state_.conflicts.store(conflicts);
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
  configuration_->setOverlay(
      std::make_shared<const HealthOverlay>(readEjections(datapath_->maps(), *image)));
  return {};
}

// The first line of `main`, for operators: what changed on this machine, and how to undo it.
void Agent::introduce() const {
  const std::string& bpffs = config_.datapath.bpffsRoot;
  std::string adopted = datapath_->adopted() ? ", maps adopted" : "";
  if (datapath_->programsAdopted()) adopted = ", maps and programs adopted";
  logger("main")->info(
      "sockmeshd {} attached to {} (cgroup {}), pinned under {}{}; to undo that, end it and run "
      "sockmeshd --cleanup --bpffs-root {}; node {}, admin on {}",
      version(), datapath_->cgroupPath(), datapath_->cgroupId(), PinPath(bpffs).folder, adopted,
      bpffs, state_.nodeId, admin_->listeners().address().toString());
  for (const PinPath& other : PinPath::ofOtherVersions(bpffs)) {
    logger("datapath")
        ->warn(
            "{} holds programs of another version, which go on answering beside ours: remove them "
            "with sockmeshd --cleanup",
            other.folder);
  }
}

Status Agent::startControlPlane() {
  auto known = configuration_->start();
  if (!known) return known.error();
  stats_.xds = std::move(known).value();
  return {};
}

// The watch's thread needs no capability. Its sockets bypass the programs, as all of the agent's
// do.
Status Agent::startPodWatch() {
  if (!config_.podWatch) return {};
  podNews_ = std::make_unique<Latest<PodNews>>(
      *loop_,
      [this](PodNews news) {
        served_->takePods(news);
        stats_.podWatch = std::move(news.stats);
        publishStats();
      },
      [](PodNews& waiting, PodNews later) { waiting.add(std::move(later)); });
  auto watch = PodWatch::start(*config_.podWatch,
                               {.onNews = [this](PodNews news) { podNews_->put(std::move(news)); },
                                .onThread = [] { limitOrEnd({}); }});
  if (!watch) return watch.error().in("kubernetes");
  podWatch_ = std::move(watch).value();
  return {};
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

Result<DriftReport> Agent::verify() const {
  const Verifier verifier(config_.datapath.bpffsRoot, [this] { return inForce_.load(); });
  return verifier.verify(kVerifyPatience, stopping_.get_token());
}

// On a thread of the admin server, which waits for the control thread.
Status Agent::repair() const {
  auto done = std::make_shared<std::promise<Status>>();
  auto result = done->get_future();
  loop_->post(
      [this, done] { repairNow([done](const Status& status) { done->set_value(status); }); });
  while (!stopping_.stop_requested()) {
    if (result.wait_for(std::chrono::milliseconds(20)) == std::future_status::ready) {
      return result.get();
    }
  }
  return Error("the agent ends");
}

void Agent::repairNow(std::function<void(Status)> done) const {
  if (!reconciler_) return done(Error("the agent starts"));
  const auto read = [this] {
    kernel_->adoptFilter();
    return KernelImage::read(datapath_->maps());
  };
  reconciler_->repair(read, std::move(done));
}

void Agent::publishStats() {
  state_.stats.store(std::make_shared<const AgentStats>(stats_));
  publishReadiness();
}

// Ready: the programs are attached, and hold either the first snapshot or adopted services, which
// are not stale.
void Agent::publishReadiness() {
  auto readiness = std::make_shared<Readiness>();
  const bool serving = reconciler_->serving();
  for (const AttachmentStats& one : stats_.attachments) {
    if (!one.attached) {
      readiness->reasons.push_back(one.program + " is not attached: " + one.problem);
    }
  }
  if (staleLimit_->stale()) {
    readiness->reasons.emplace_back(
        "services are left alone: no word of the control plane within ads.stale_after");
  }
  if (!datapath_->attached()) readiness->reasons.emplace_back("the programs are being loaded");
  readiness->ready = serving && readiness->reasons.empty();
  if (!serving) {
    readiness->reasons.push_back(stats_.xds.connected || config_.localResources.alone
                                     ? "waiting for the first clusters and listeners"
                                     : "no connection to the control plane " + stats_.xds.address);
  }
  if (auto held = stats_.writer.held.text(); !held.empty()) readiness->notes.push_back(held);
  if (stats_.podWatch && !stats_.podWatch->listedAt) {
    readiness->notes.push_back("rules by pods wait for the API server " + stats_.podWatch->address);
  }
  state_.readiness.store(std::move(readiness));
}

Status Agent::run() {
  loop_->run();
  return failure_;
}

}  // namespace sockmesh
