// SPDX-License-Identifier: Apache-2.0
#include "ads/ads_client.h"

#include <algorithm>
#include <random>
#include <utility>

#include "base/log.h"
#include "base/version.h"

namespace sockmesh {
namespace {

// The same failure is logged again after this long.
constexpr Nanos kRepeatLogInterval = std::chrono::minutes(1);

void addUserAgent(envoy::config::core::v3::Node& node) {
  node.set_user_agent_name("sockmesh");
  node.set_user_agent_version(version());
  // Resources may come wrapped with their names.
  node.add_client_features("xds.config.resource-in-sotw");
  node.add_client_features("xds.config.supports-resource-in-sotw");
  node.add_client_features("xds.config.supports-resource-ttl");
}

long long millis(Nanos duration) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
}

}  // namespace

AdsClient::AdsClient(EventLoop& loop, ResourceStore& store, AdsClientOptions options)
    : loop_(loop),
      store_(store),
      options_(std::move(options)),
      backoff_(options_.backoffBase, options_.backoffMax, std::random_device()()),
      timers_(loop, store,
              {.firstResponse = options_.firstResponseWait,
               .rest = options_.unansweredRest,
               .longestRest = options_.longestUnansweredRest},
              timerEvents()),
      log_(logger("xds")) {
  addUserAgent(options_.node);
  failures_.resize(servers());
  stats_.address = options_.channel.target;
  for (const ResourceType& row : resourceTypes()) {
    if (row.bySetting && !store.needs(row)) continue;
    Type& type = types_.emplace_back();
    type.row = &row;
    type.stats.type = row.shortName;
    stats_.types.push_back(type.stats);
  }
  speak(*options_.protocol);
}

ResourceTimers::Events AdsClient::timerEvents() {
  return {.onFetchTimeout = [this](const ResourceKey& key,
                                   bool changed) { onFetchTimeout(key, changed); },
          .onExpired = [this](const std::vector<ResourceKey>& expired) { onExpired(expired); },
          .onRest = [this](const ResourceType& row, Nanos length) { onRest(row, length); },
          .onMayAsk = [this] { sendDueRequest(); }};
}

// Null: the table has no such type.
AdsClient::Type* AdsClient::find(std::string_view url) {
  const auto found = std::ranges::find(types_, url, [](const Type& type) { return type.row->url; });
  return found == types_.end() ? nullptr : &*found;
}

AdsClient::~AdsClient() {
  stop();
}

void AdsClient::start(Callbacks callbacks) {
  if (stream_ || retryTimer_ != 0) return;
  callbacks_ = std::move(callbacks);
  // What was posted before is not run any more.
  alive_ = std::make_shared<int>();
  flushScheduled_ = false;
  timers_.start();
  if (restoredAt_) useRestored();
  if (callbacks_.onOtherSources) scheduleFlush();
  if (!options_.channel.target.empty()) connect();
}

// No type has to wait for another one's first response: it is known already. A type that only adds
// to others may never be asked for, so nothing waits for its word.
void AdsClient::useRestored() {
  stats_.staleSince = *std::exchange(restoredAt_, std::nullopt);
  for (const Type& type : types_) {
    timers_.onResponse(*type.row);
    if (!type.byName() && type.row->needed == nullptr) unconfirmed_.insert(type.row);
  }
  snapshotChanged_ = true;
  scheduleFlush();
}

// The control plane has spoken of this type; null: it has nothing to say of any.
void AdsClient::confirm(const ResourceType* type) {
  if (!stats_.staleSince) return;
  if (type != nullptr) {
    unconfirmed_.erase(type);
  } else {
    unconfirmed_.clear();
  }
  if (!unconfirmed_.empty()) return;
  stats_.staleSince.reset();
  log_->info("the control plane has confirmed or replaced what the cache held");
}

void AdsClient::noteCacheProblem(const std::string& problem) {
  if (std::exchange(stats_.cacheProblem, problem) == problem) return;
  if (!problem.empty()) log_->warn("cache: {}", problem);
  scheduleFlush();
}

void AdsClient::noteAuditProblem(const std::string& problem) {
  if (std::exchange(stats_.auditProblem, problem) == problem) return;
  if (!problem.empty()) log_->warn("audit log: {}", problem);
  scheduleFlush();
}

void AdsClient::noteFileProblems(const std::map<std::string, std::string>& problems) {
  if (std::exchange(stats_.fileProblems, problems) != problems) scheduleFlush();
}

void AdsClient::stop() {
  alive_.reset();
  flushScheduled_ = false;
  loop_.cancel(std::exchange(retryTimer_, 0));
  loop_.cancel(std::exchange(quietTimer_, 0));
  loop_.cancel(std::exchange(tellTimer_, 0));
  timers_.stop();
  for (Type& type : types_) release(type);
  stream_.reset();
  stats_.connected = false;
}

const std::string& AdsClient::targetOf(std::size_t server) const {
  return server == 0 ? options_.channel.target : options_.fallbackTargets[server - 1];
}

void AdsClient::connect() {
  retryTimer_ = 0;
  stats_.address = target();
  speak(*options_.protocol);
  openStream();
}

void AdsClient::openStream() {
  nodeSent_ = false;
  readDue_ = false;
  log_->debug("connecting to {}: {}", target(), protocol_->name());
  AdsChannelOptions channel = options_.channel;
  channel.target = target();
  const auto connection = makeAdsConnection(channel);
  if (!connection) {
    return onClosed({grpc::StatusCode::FAILED_PRECONDITION, connection.error().message()});
  }
  AdsStream::Events events;
  events.onUpdate = [this](const Update& update) { onUpdate(update); };
  events.onSent = [this] { onSent(); };
  events.onClosed = [this](const grpc::Status& status) { onClosed(status); };
  stream_ = protocol_->open(loop_, *connection, std::move(events));
  updateNames();
  for (Type& type : types_) {
    type.subscription->onStreamUp();
    type.heard = false;
    type.rejection.clear();
    release(type);
    if (type.row->deltaOnly && !protocol_->isDelta()) doWithout(type);
  }
  timers_.onStreamBegun();
  sendDueRequest();
  stream_->receiveNext();
}

// Between streams. Subscriptions of the other protocol keep what they know, in case that it is
// spoken again.
void AdsClient::speak(const AdsProtocol& protocol) {
  if (std::exchange(protocol_, &protocol) == &protocol) return;
  stats_.protocol = protocol.name();
  for (Type& type : types_) {
    std::swap(type.subscription, type.resting);
    type.namesRevision.reset();
    if (type.subscription) continue;
    type.subscription =
        protocol.subscribe(*type.row, [this, row = type.row] { return store_.versions(*row); });
  }
}

// True where a stream of the fallback is being opened instead of the one that ended.
bool AdsClient::fallBack(const grpc::Status& status) {
  if (status.error_code() != grpc::StatusCode::UNIMPLEMENTED || stats_.connected) return false;
  if (options_.fallback == nullptr || protocol_ == options_.fallback) return false;
  if (!std::exchange(fallbackLogged_, true)) {
    log_->info("{} does not speak the protocol \"{}\": trying \"{}\"", target(), protocol_->name(),
               options_.fallback->name());
  }
  stream_.reset();
  timers_.onStreamEnded();
  speak(*options_.fallback);
  openStream();
  return true;
}

void AdsClient::onUpdate(const Update& update) {
  noteConnected(update.controlPlane);
  readDue_ = true;
  // Posted before anything can be sent, so that requests that follow from this response go out in
  // the order of the types.
  scheduleFlush();
  Type* type = find(update.typeUrl);
  if (type == nullptr || !type->subscription->requestedOnStream()) {
    log_->warn("ignored a response of type {}, because the agent did not ask for this type",
               update.typeUrl);
    return;
  }
  stats_.lastMessageAt = clock_.wall();
  type->stats.bytes += update.bytes;
  const ApplyResult result = store_.apply(update, clock_.monotonic());
  snapshotChanged_ = snapshotChanged_ || result.changed;
  if (callbacks_.onAnswer) callbacks_.onAnswer(*type->row, update, result, describeServer(update));
  type->subscription->answer(update, result);
  if (result.ok()) {
    noteAccepted(*type, update);
  } else {
    noteRejected(*type, update, result);
  }
  listRejected(*type, update, result);
  confirm(type->row);
  pace(*type, result.ok() || !update.stateOfTheWorld ? "" : update.version + result.message());
  if (!stream_->sending() && type->rejectionTimer == 0) send(*type->subscription);
  timers_.onResponse(*type->row);
}

// The first request of a stream went out, so there is a connection, and time-outs run.
void AdsClient::onSent() {
  timers_.onSent();
  awaitQuiet();
  sendDueRequest();
}

void AdsClient::awaitQuiet() {
  if (stats_.connected || quietTimer_ != 0) return;
  quietTimer_ = loop_.after(options_.quietConnection, [this] {
    quietTimer_ = 0;
    noteConnected("");
    confirm(nullptr);
    scheduleFlush();
  });
}

// "10.0.0.1:15010 (istiod-0)"
std::string AdsClient::describeServer(const Update& update) const {
  return update.controlPlane.empty() ? target() : target() + " (" + update.controlPlane + ")";
}

void AdsClient::noteConnected(const std::string& controlPlane) {
  backoff_.reset();
  if (std::exchange(stats_.connected, true)) return;
  loop_.cancel(std::exchange(quietTimer_, 0));
  ++stats_.connections;
  stats_.changedAt = clock_.wall();
  failures_.assign(servers(), {});
  // What the other protocol's subscriptions know of versions is history now.
  for (Type& type : types_) type.resting.reset();
  log_->info("connected to {}{}, {}", target(),
             controlPlane.empty() ? "" : " (" + controlPlane + ")", protocol_->name());
}

// "CDS v7", for people.
std::string AdsClient::describe(const Type& type, const Update& update) {
  return update.version.empty() ? type.stats.type : type.stats.type + " " + update.version;
}

void AdsClient::noteAccepted(Type& type, const Update& update) {
  type.stats.version = update.version;
  type.stats.lastUpdateAt = clock_.wall();
  ++type.stats.accepted;
  log_->debug("{}: accepted {} resources", describe(type, update), update.resources.size());
}

void AdsClient::noteRejected(Type& type, const Update& update, const ApplyResult& result) {
  const std::string message = result.message();
  ++type.stats.rejected;
  type.stats.lastRejection = XdsRejection{clock_.wall(), message};
  log_->warn("{}: rejected {} of {} resources, the last good versions stay: {}",
             describe(type, update), result.rejected.size(), update.resources.size(), message);
  if (!type.byName()) return;
  for (const RejectedResource& resource : result.rejected) {
    snapshotChanged_ = timers_.onRejected({type.row, resource.name}) || snapshotChanged_;
  }
}

void AdsClient::listRejected(Type& type, const Update& update, const ApplyResult& result) {
  std::vector<std::string>& names = type.stats.rejectedResources;
  // Other responses say nothing about resources that they do not contain. A new stream begins with
  // all that is not held, so a server that has no bad resource any more need not say so.
  const bool first = !std::exchange(type.heard, true);
  if (first || (!type.byName() && update.stateOfTheWorld)) names.clear();
  for (const std::string& name : update.removed) std::erase(names, name);
  type.stats.unnamedRejected = std::ranges::any_of(
      result.rejected, [](const RejectedResource& resource) { return resource.name.empty(); });
  for (const std::string& name : result.accepted) std::erase(names, name);
  for (const RejectedResource& resource : result.rejected) {
    if (!resource.name.empty()) names.push_back(resource.name);
  }
  std::ranges::sort(names);
  names.erase(std::ranges::unique(names).begin(), names.end());
}

// Keeps the answer back where it would say the same as the answer before it. Other types go on.
void AdsClient::pace(Type& type, const std::string& rejection) {
  release(type);
  if (std::exchange(type.rejection, rejection) != rejection || rejection.empty()) return;
  type.rejectionTimer = loop_.after(options_.repeatedRejectionWait, [this, &type] {
    type.rejectionTimer = 0;
    sendDueRequest();
  });
}

void AdsClient::release(Type& type) {
  loop_.cancel(std::exchange(type.rejectionTimer, 0));
}

void AdsClient::onClosed(const grpc::Status& status) {
  loop_.cancel(std::exchange(quietTimer_, 0));
  if (fallBack(status)) return;
  const std::string reason = describeStatus(status);
  const bool wasConnected = std::exchange(stats_.connected, false);
  if (wasConnected) stats_.changedAt = clock_.wall();
  stats_.lastError = reason;
  stream_.reset();
  timers_.onStreamEnded();

  const std::size_t failed = server_;
  const Nanos delay = nextServer(wasConnected);
  logFailure(failed, wasConnected, reason, delay);
  retryTimer_ = loop_.after(delay, [this] { connect(); });
  scheduleFlush();
}

// Moves on to the server that is tried next. When.
Nanos AdsClient::nextServer(bool wasConnected) {
  const bool another = !wasConnected && server_ + 1 < servers();
  server_ = another ? server_ + 1 : 0;
  return another ? Nanos(0) : backoff_.next();
}

void AdsClient::logFailure(std::size_t server, bool wasConnected, const std::string& reason,
                           Nanos delay) {
  Failure& failure = failures_[server];
  const Nanos now = clock_.monotonic();
  ++failure.count;
  const bool repeated = !wasConnected && reason == failure.reason;
  if (repeated && now - failure.loggedAt < kRepeatLogInterval) return;
  log_->warn("{} {}: {}; next attempt in {} ms{}", wasConnected ? "lost" : "no answer from",
             targetOf(server), reason, millis(delay),
             failure.count > 1 ? fmt::format(" ({} attempts)", failure.count) : "");
  failure.reason = reason;
  failure.loggedAt = now;
}

void AdsClient::onFetchTimeout(const ResourceKey& key, bool changed) {
  log_->warn(fmt::runtime(key.type->absentLine), key.name);
  snapshotChanged_ = changed || snapshotChanged_;
  scheduleFlush();
}

void AdsClient::onExpired(const std::vector<ResourceKey>& expired) {
  for (const ResourceKey& key : expired) {
    Type& type = *find(key.type->url);
    log_->warn("{} {}: removed, because its TTL ended and the control plane did not renew it",
               type.stats.type, key.name);
    ++type.stats.expired;
    type.subscription->forget(key.name);
    if (callbacks_.onExpired) callbacks_.onExpired(*key.type);
    snapshotChanged_ = true;
  }
  scheduleFlush();
}

void AdsClient::scheduleFlush() {
  if (std::exchange(flushScheduled_, true)) return;
  loop_.post([this, alive = std::weak_ptr<int>(alive_)] {
    if (!alive.expired()) flush();
  });
}

void AdsClient::flush() {
  flushScheduled_ = false;
  if (callbacks_.onOtherSources && callbacks_.onOtherSources()) snapshotChanged_ = true;
  updateNames();
  sendDueRequest();
  timers_.update();
  tellInTurn();
  readNextAfterPosted();
}

// A change after a pause is told at once. In a storm of changes each snapshot holds those of
// several responses, because each costs its readers and the threads that they wake.
void AdsClient::tellInTurn() {
  if (tellTimer_ != 0) return;
  const Nanos wait = toldAt_ + options_.tellInterval - clock_.monotonic();
  if (wait <= Nanos(0)) return tell();
  tellTimer_ = loop_.after(wait, [this] {
    tellTimer_ = 0;
    tell();
  });
}

void AdsClient::tell() {
  toldAt_ = clock_.monotonic();
  // Before the snapshot is told: its reader looks at the numbers, too.
  updateStats();
  if (std::exchange(snapshotChanged_, false)) publishSnapshot();
  if (callbacks_.onStats) callbacks_.onStats(stats_);
}

void AdsClient::publishSnapshot() {
  const auto snapshot = store_.snapshot();
  for (const std::string& line : notHonoured_.update(*snapshot)) log_->info("{}", line);
  logHeld(snapshot->held);
  if (callbacks_.onSnapshot) callbacks_.onSnapshot(snapshot);
}

void AdsClient::updateStats() {
  if (snapshotChanged_) stats_.snapshotAt = clock_.wall();
  for (Type& type : types_) type.stats.awaited = type.stats.held = 0;
  for (const auto& [key, timeout] : store_.missing()) ++find(key.type->url)->stats.awaited;
  for (const HeldVersion& one : store_.heldBack()) {
    for (Type& type : types_) type.stats.held += type.stats.type == one.type ? 1 : 0;
  }
  for (std::size_t i = 0; i < types_.size(); ++i) {
    types_[i].stats.resources = store_.count(*types_[i].row);
    stats_.types[i] = types_[i].stats;
  }
}

// Each once, when it begins.
void AdsClient::logHeld(const std::vector<HeldVersion>& held) {
  std::set<std::string> lines;
  for (const HeldVersion& one : held) {
    const auto line = lines.insert(fmt::format("{} {}: {}", one.type, one.name, one.why)).first;
    if (!heldLogged_.contains(*line)) log_->info("{}; its previous version is in force", *line);
  }
  heldLogged_ = std::move(lines);
}

// If a snapshot was told, the task that makes tables of it is posted by now, and the next response
// waits behind it.
void AdsClient::readNextAfterPosted() {
  if (!readDue_) return;
  loop_.post([this, alive = std::weak_ptr<int>(alive_)] {
    if (alive.expired() || !stream_ || !std::exchange(readDue_, false)) return;
    stream_->receiveNext();
  });
}

}  // namespace sockmesh
