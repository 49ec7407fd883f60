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
#include "base/free_memory.h"
#include "base/log.h"
#include "base/version.h"
#include "daemon/node_identity.h"
#include "daemon/system_call_filter.h"
#include "daemon/workload_names.h"
#include "datapath/ejection_count.h"
#include "datapath/endpoint_state_reader.h"
#include "dns/ares_resolver.h"
#include "inspect/attachment_info.h"
#include "inspect/live_state.h"
#include "stats/agent_collector.h"
#include "stats/datapath_collector.h"
#include "stats/process_collector.h"

namespace sockmesh {
namespace {

constexpr Nanos kDatapathCheck = std::chrono::seconds(1);
constexpr Nanos kMemoryDelay = std::chrono::seconds(3);
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
  // The kernel takes its time to verify new programs. The configuration thread receives and
  // compiles meanwhile. Programs that are attached already would rewrite the agent's own
  // connections until it is registered.
  const bool early = !Datapath::isPinned(config.datapath.bpffsRoot);
  if (early) {
    if (auto ok = agent->startControlPlane(); !ok) return ok.error();
  }
  if (auto ok = agent->openDatapath(); !ok) return ok.error();
  if (auto ok = agent->giveUpPrivileges(); !ok) return ok.error();
  if (auto ok = agent->buildControlLoop(); !ok) return ok.error();
  agent->connectControlLoop();
  if (auto ok = agent->adoptRunningDatapath(); !ok) return ok.error();
  if (auto ok = agent->startPodWatch(); !ok) return ok.error();
  if (!early) {
    if (auto ok = agent->startControlPlane(); !ok) return ok.error();
  }
  agent->watchDatapath();
  agent->publishStats();
  return agent;
}

Agent::~Agent() {
  stopping_.request_stop();
  // The client stops first: nothing may be posted to parts that are destroyed.
  if (!configuration_) return;
  configuration_->run([this] {
    if (ads_) ads_->stop();
  });
  configuration_->stop();
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

Status Agent::openDatapath() {
  config_.datapath.calls = helper_;
  auto datapath = Datapath::open(config_.datapath);
  if (!datapath) return datapath.error();
  datapath_ = std::move(datapath).value();
  if (auto ok = datapath_->registerAgent(); !ok) return ok.error();
  introduce();
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
  sweep_ = std::make_unique<ConnectionSweep>(*loop_, *datapath_, *grace_, [this] {
    constexpr const char* kLink = "sm_sock_ops";
    return helper_ ? helper_->programsBehindOurs(kLink)
                   : programsBehindOurs(config_.datapath.bpffsRoot, kLink);
  });
  staleLimit_ = std::make_unique<StaleLimit>(*loop_, datapath_->staleTime(), config_.staleAfter,
                                             [this] { publishReadiness(); });
  return {};
}

// The thread on which responses become tables. Nothing comes in before startControlPlane(), and
// nothing that it posts to the control loop runs before run(). It has from the beginning only what
// giveUpPrivileges() leaves, and so have the threads that are made on it.
Status Agent::startConfiguration() {
  auto thread = LoopThread::create();
  if (!thread) return thread.error();
  configuration_ = std::move(thread).value();
  configuration_->run([] {
    limitOrEnd({mapCapability(), CAP_NET_ADMIN});
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  });
  CompilerOptions options{.nodeLocality = config_.locality(),
                          .localCluster = config_.localCluster,
                          .affinity = config_.affinity,
                          .weightedRandom = config_.weightedRandom};
  tables_ = std::make_unique<TableMaker>(
      configuration_->loop(), std::move(options), [this](MadeTables made) {
        loop_->post(
            [this, made = std::move(made)]() mutable { reconciler_->setTables(std::move(made)); });
      });
  news_ = std::make_unique<Latest<News>>(*loop_, [this](News news) {
    stats_.xds = std::move(news.xds);
    stats_.dns = std::move(news.dns);
    stats_.notHonoured = std::move(news.notHonoured);
    staleLimit_->setConnected(stats_.xds.connected || config_.localResources.alone);
    publishStats();
  });
  return {};
}

// Tables go to the detector, and the detector's ejections come back into the tables.
void Agent::connectControlLoop() {
  outliers_->onOverlay(
      [this](const std::shared_ptr<const HealthOverlay>& overlay) { setOverlay(overlay); });
  reconciler_->onInForce(
      [this](std::shared_ptr<const InForce> inForce) { inForce_.store(std::move(inForce)); });
  reconciler_->onTaken([this](MadeTables replaced) {
    configuration_->loop().post([this, freed = std::move(replaced)] { tables_->taken(); });
  });
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

void Agent::setOverlay(const std::shared_ptr<const HealthOverlay>& overlay) {
  configuration_->loop().post([this, overlay] { tables_->setOverlay(overlay); });
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
  setOverlay(std::make_shared<const HealthOverlay>(readEjections(datapath_->maps(), *image)));
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

// On the configuration thread, before the client starts.
void Agent::openCache() {
  if (config_.cachePath.empty()) return;
  CacheWriter::Options options{.path = config_.cachePath, .view = viewOf(config_.node)};
  cache_ = std::make_unique<ResourceCache>(resources_, options, [this](const std::string& problem) {
    configuration_->loop().post([this, problem] { ads_->noteCacheProblem(problem); });
  });
  dns_->remember(std::make_unique<DnsMemory>(*cache_));
  if (const auto writtenAt = cache_->restored().writtenAt) ads_->noteRestored(*writtenAt);
  ads_->noteCacheProblem(cache_->restored().problem);
}

// Before the cache is opened, so that what it holds is known.
void Agent::openAuditLog() {
  if (config_.auditLog.path.empty()) return;
  ads_->noteAuditLog(config_.auditLog.path);
  audit_ =
      std::make_unique<AuditLog>(resources_, config_.auditLog, [this](const std::string& problem) {
        configuration_->loop().post([this, problem] { ads_->noteAuditProblem(problem); });
      });
}

// Before the cache is opened, so that names are theirs.
Status Agent::openFiles() {
  auto files = FileSource::create(configuration_->loop(), resources_, config_.localResources,
                                  [this] { ads_->noteOtherSources(); });
  if (!files) return files.error().in("local_resources");
  files_ = std::move(files).value();
  files_->begin();
  return {};
}

void Agent::openDns() {
  DnsSource::Events events{.onNews = [this] { ads_->noteOtherSources(); },
                           .onStats = [this] { tellNews(); }};
  if (config_.dns.frontends) resources_.resolveServices();
  dns_ = std::make_unique<DnsSource>(
      configuration_->loop(), resources_,
      std::make_unique<AresResolver>(configuration_->loop(), config_.dns.servers),
      std::move(events));
}

// From the configuration thread to the control thread.
void Agent::tellNews() {
  news_->put({ads_->stats(), dns_->stats(), notHonouredStats_});
}

AdsClient::Callbacks Agent::clientCallbacks() {
  AdsClient::Callbacks callbacks;
  callbacks.onOtherSources = [this] {
    const bool files = files_->sync();
    ads_->noteFileProblems(files_->problems());
    // Last: it resolves what the others want.
    return dns_->sync() || files;
  };
  callbacks.onSnapshot = [this](std::shared_ptr<const Snapshot> snapshot) {
    XdsStats stats = ads_->stats();
    files_->addUnknown(stats);
    auto unknowns = unknowns_.of(*snapshot, stats);
    dns_->addUnknown(unknowns);
    snapshot = udpServices_.addTo(std::move(snapshot), unknowns);
    state_.snapshot.store(snapshot);
    notHonouredStats_ = notHonoured_.update(snapshot);
    tables_->setSnapshot(std::move(snapshot), std::move(unknowns));
  };
  callbacks.onAnswer = [this](const ResourceType& type, const Update& update,
                              const ApplyResult& result, const std::string& server) {
    if (audit_) audit_->answered(type, update, result, server);
    if (update.bytes >= kLeavesMuchFree) returnMemorySoon();
  };
  if (audit_) {
    callbacks.onExpired = [this](const ResourceType& type) { audit_->expired(type); };
  }
  callbacks.onStats = [this](const XdsStats& stats) {
    if (stats.connected && !stats.staleSince) dns_->forgetUnused();
    tellNews();
  };
  return callbacks;
}

// Once the tables that the message leads to are made. On the configuration thread, whose turns may
// be long.
void Agent::returnMemorySoon() {
  if (std::exchange(returnsMemory_, true)) return;
  configuration_->loop().after(kMemoryDelay, [this] {
    returnsMemory_ = false;
    returnFreeMemory();
  });
}

Status Agent::startControlPlane() {
  AdsClientOptions options;
  options.channel = config_.ads;
  options.fallbackTargets = config_.fallbackAddresses;
  const bool delta = config_.adsProtocol != sockmesh::config::v1::Ads::SOTW;
  options.protocol = delta ? &deltaProtocol() : &sotwProtocol();
  const bool either = config_.adsProtocol == sockmesh::config::v1::Ads::AUTO;
  options.fallback = either ? &sotwProtocol() : nullptr;
  options.node = config_.node;
  Status opened;
  configuration_->run([&] {
    if (config_.workloads) resources_.useWorkloads();
    ads_ = std::make_unique<AdsClient>(configuration_->loop(), resources_, std::move(options));
    resources_.limit(config_.limits);
    openDns();
    opened = openFiles();
    if (!opened) return;
    openAuditLog();
    openCache();
    if (audit_) audit_->begun(cache_ && cache_->restored().writtenAt.has_value());
    stats_.xds = ads_->stats();
    ads_->start(clientCallbacks());
  });
  return opened;
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

void Agent::run() {
  loop_->run();
}

}  // namespace sockmesh
