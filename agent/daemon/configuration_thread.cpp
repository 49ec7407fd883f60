// SPDX-License-Identifier: Apache-2.0
#include "daemon/configuration_thread.h"

#include <chrono>
#include <utility>

#include "base/free_memory.h"
#include "config/node_identity.h"
#include "dns/ares_resolver.h"

namespace sockmesh {
namespace {

constexpr Nanos kMemoryDelay = std::chrono::seconds(3);

CompilerOptions compilerOptions(const Config& config) {
  return {.nodeLocality = config.locality(),
          .localCluster = config.localCluster,
          .affinity = config.affinity,
          .weightedRandom = config.weightedRandom};
}

}  // namespace

Result<std::unique_ptr<ConfigurationThread>> ConfigurationThread::create(
    const Config& config, const std::function<void()>& onThread, Events events) {
  auto thread = LoopThread::create();
  if (!thread) return thread.error();
  (*thread)->run(onThread);
  return std::unique_ptr<ConfigurationThread>(
      new ConfigurationThread(config, std::move(thread).value(), std::move(events)));
}

ConfigurationThread::ConfigurationThread(const Config& config, std::unique_ptr<LoopThread> thread,
                                         Events events)
    : config_(config),
      events_(std::move(events)),
      thread_(std::move(thread)),
      tables_(std::make_unique<TableMaker>(thread_->loop(), compilerOptions(config),
                                           events_.onTables, events_.onExpected)),
      udpServices_(config.udpServices) {}

// The client stops first: it calls the other parts.
ConfigurationThread::~ConfigurationThread() {
  thread_->run([this] {
    if (ads_) ads_->stop();
  });
  thread_->stop();
}

void ConfigurationThread::setOverlay(std::shared_ptr<const HealthOverlay> overlay) {
  thread_->loop().post([this, overlay = std::move(overlay)] { tables_->setOverlay(overlay); });
}

void ConfigurationThread::taken(MadeTables replaced) {
  thread_->loop().post([this, freed = std::move(replaced)] { tables_->taken(); });
}

AdsClientOptions ConfigurationThread::clientOptions() const {
  AdsClientOptions options;
  options.channel = config_.ads;
  options.fallbackTargets = config_.fallbackAddresses;
  const bool delta = config_.adsProtocol != sockmesh::config::v1::Ads::SOTW;
  options.protocol = delta ? &deltaProtocol() : &sotwProtocol();
  const bool either = config_.adsProtocol == sockmesh::config::v1::Ads::AUTO;
  options.fallback = either ? &sotwProtocol() : nullptr;
  options.node = config_.node;
  return options;
}

Result<XdsStats> ConfigurationThread::start() {
  Status opened;
  XdsStats known;
  thread_->run([&] {
    opened = open();
    if (!opened) return;
    known = ads_->stats();
    ads_->start(clientCallbacks());
  });
  if (!opened) return opened.error();
  return known;
}

Status ConfigurationThread::open() {
  if (config_.workloads) resources_.useWorkloads();
  ads_ = std::make_unique<AdsClient>(thread_->loop(), resources_, clientOptions());
  resources_.limit(config_.limits);
  openDns();
  if (auto ok = openFiles(); !ok) return ok;
  openAuditLog();
  openCache();
  if (audit_) audit_->begun(cache_ && cache_->restored().writtenAt.has_value());
  return {};
}

void ConfigurationThread::openDns() {
  DnsSource::Events events{.onNews = [this] { ads_->noteOtherSources(); },
                           .onStats = [this] { tellNews(); }};
  if (config_.dns.frontends) resources_.resolveServices();
  dns_ = std::make_unique<DnsSource>(
      thread_->loop(), resources_,
      std::make_unique<AresResolver>(thread_->loop(), config_.dns.servers), std::move(events));
}

// Before the cache is opened, so that names are theirs.
Status ConfigurationThread::openFiles() {
  auto files = FileSource::create(thread_->loop(), resources_, config_.localResources,
                                  [this] { ads_->noteOtherSources(); });
  if (!files) return files.error().in("local_resources");
  files_ = std::move(files).value();
  files_->begin();
  return {};
}

// Before the cache is opened, so that what it holds is known.
void ConfigurationThread::openAuditLog() {
  if (config_.auditLog.path.empty()) return;
  ads_->noteAuditLog(config_.auditLog.path);
  audit_ =
      std::make_unique<AuditLog>(resources_, config_.auditLog, [this](const std::string& problem) {
        thread_->loop().post([this, problem] { ads_->noteAuditProblem(problem); });
      });
}

// Before the client starts.
void ConfigurationThread::openCache() {
  if (config_.cachePath.empty()) return;
  CacheWriter::Options options{.path = config_.cachePath, .view = viewOf(config_.node)};
  cache_ = std::make_unique<ResourceCache>(resources_, options, [this](const std::string& problem) {
    thread_->loop().post([this, problem] { ads_->noteCacheProblem(problem); });
  });
  dns_->remember(std::make_unique<DnsMemory>(*cache_));
  if (const auto writtenAt = cache_->restored().writtenAt) ads_->noteRestored(*writtenAt);
  ads_->noteCacheProblem(cache_->restored().problem);
}

AdsClient::Callbacks ConfigurationThread::clientCallbacks() {
  AdsClient::Callbacks callbacks;
  callbacks.onOtherSources = [this] { return syncOtherSources(); };
  callbacks.onSnapshot = [this](std::shared_ptr<const Snapshot> snapshot) {
    takeSnapshot(std::move(snapshot));
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

bool ConfigurationThread::syncOtherSources() {
  const bool files = files_->sync();
  ads_->noteFileProblems(files_->problems());
  // Last: it resolves what the others want.
  return dns_->sync() || files;
}

void ConfigurationThread::takeSnapshot(std::shared_ptr<const Snapshot> snapshot) {
  XdsStats stats = ads_->stats();
  files_->addUnknown(stats);
  auto unknowns = unknowns_.of(*snapshot, stats);
  dns_->addUnknown(unknowns);
  snapshot = udpServices_.addTo(std::move(snapshot), unknowns);
  events_.onSnapshot(snapshot);
  notHonouredStats_ = notHonoured_.update(snapshot);
  tables_->setSnapshot(std::move(snapshot), std::move(unknowns));
}

void ConfigurationThread::tellNews() {
  events_.onNews({ads_->stats(), dns_->stats(), notHonouredStats_});
}

// Once the tables that the message leads to are made. Turns of this thread may be long.
void ConfigurationThread::returnMemorySoon() {
  if (std::exchange(returnsMemory_, true)) return;
  thread_->loop().after(kMemoryDelay, [this] {
    returnsMemory_ = false;
    returnFreeMemory();
  });
}

}  // namespace sockmesh
