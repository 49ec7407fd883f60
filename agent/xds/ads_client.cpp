#include "xds/ads_client.h"

#include <algorithm>
#include <random>
#include <utility>

#include "base/log.h"
#include "base/version.h"
#include "xds/type_urls.h"

namespace sockmesh {
namespace {

// The same failure is logged again after this long.
constexpr Nanos kRepeatLogInterval = std::chrono::minutes(1);

enum TypeIndex : std::size_t { kClusters, kAssignments, kListeners, kTypeCount };

std::vector<SotwSubscription> makeSubscriptions() {
  using Mode = SotwSubscription::Mode;
  std::vector<SotwSubscription> subscriptions;
  subscriptions.emplace_back(kClusterType, Mode::kWildcard);
  subscriptions.emplace_back(kAssignmentType, Mode::kByName);
  subscriptions.emplace_back(kListenerType, Mode::kWildcard);
  return subscriptions;
}

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

AdsClient::AdsClient(EventLoop& loop, ResourceStore& store, AdsClientOptions options,
                     Callbacks callbacks)
    : loop_(loop),
      store_(store),
      options_(std::move(options)),
      callbacks_(std::move(callbacks)),
      backoff_(options_.backoffBase, options_.backoffMax, std::random_device()()),
      fetchTimers_(loop, [this](const std::string& edsName) { onFetchTimeout(edsName); }),
      subscriptions_(makeSubscriptions()),
      log_(logger("xds")) {
  addUserAgent(options_.node);
  stats_.address = options_.channel.target;
  for (const SotwSubscription& subscription : subscriptions_) {
    stats_.types.emplace_back().type = shortTypeName(subscription.typeUrl());
  }
}

AdsClient::~AdsClient() {
  stop();
}

void AdsClient::start() {
  if (stream_ || retryTimer_ != 0) return;
  alive_ = std::make_shared<int>();
  setExpiryTimer();
  connect();
}

void AdsClient::stop() {
  alive_.reset();
  flushScheduled_ = false;
  loop_.cancel(std::exchange(retryTimer_, 0));
  loop_.cancel(std::exchange(clusterTimer_, 0));
  loop_.cancel(std::exchange(expiryTimer_, 0));
  fetchTimers_.clear();
  stream_.reset();
  stats_.connected = false;
}

void AdsClient::connect() {
  retryTimer_ = 0;
  nodeSent_ = false;
  readDue_ = false;
  log_->debug("connecting to {}", options_.channel.target);
  AdsStream::Events events;
  events.onResponse = [this](const Response& response) { onResponse(response); };
  events.onSent = [this] { onSent(); };
  events.onClosed = [this](const grpc::Status& status) { onClosed(status); };
  stream_ = std::make_unique<AdsStream>(loop_, makeAdsChannel(options_.channel), std::move(events));
  for (SotwSubscription& subscription : subscriptions_) subscription.onStreamUp();
  if (!listenersWanted_) {
    clusterTimer_ = loop_.after(options_.clusterWait, [this] {
      listenersWanted_ = true;
      sendDueRequest();
    });
  }
  sendDueRequest();
  stream_->receiveNext();
}

void AdsClient::onResponse(const Response& response) {
  noteConnected(response);
  readDue_ = true;
  // Posted before anything can be sent: what this response makes us ask for goes out in the order
  // of the types.
  scheduleFlush();
  const auto found =
      std::ranges::find(subscriptions_, response.type_url(), &SotwSubscription::typeUrl);
  if (found == subscriptions_.end() || !found->requestedOnStream()) {
    log_->warn("ignored a response of type {}, which was not asked for", response.type_url());
    return;
  }
  const auto type = static_cast<std::size_t>(found - subscriptions_.begin());
  const ApplyResult result = store_.apply(response, clock_.monotonic());
  snapshotChanged_ = snapshotChanged_ || result.changed;
  if (result.ok()) {
    noteAccepted(type, response);
  } else {
    noteRejected(type, response, result);
  }
  listRejected(type, result);
  if (!stream_->sending()) send(*found);
  if (type == kClusters) listenersWanted_ = true;
}

// The first request of a stream went out: there is a connection, and time-outs may run.
void AdsClient::onSent() {
  fetchTimers_.resume();
  sendDueRequest();
}

void AdsClient::noteConnected(const Response& response) {
  backoff_.reset();
  repeatedFailures_ = 0;
  if (std::exchange(stats_.connected, true)) return;
  ++stats_.connections;
  stats_.changedAt = clock_.wall();
  failureLogged_ = Nanos(0);
  const std::string& identifier = response.control_plane().identifier();
  log_->info("connected to {}{}", options_.channel.target,
             identifier.empty() ? "" : " (" + identifier + ")");
}

void AdsClient::noteAccepted(std::size_t type, const Response& response) {
  subscriptions_[type].accept(response.version_info(), response.nonce());
  XdsTypeStats& stats = stats_.types[type];
  stats.version = response.version_info();
  stats.lastUpdateAt = clock_.wall();
  ++stats.accepted;
  log_->debug("{} {}: accepted {} resources", stats.type, response.version_info(),
              response.resources_size());
}

void AdsClient::noteRejected(std::size_t type, const Response& response,
                             const ApplyResult& result) {
  const std::string message = result.message();
  subscriptions_[type].reject(response.nonce(), message);
  XdsTypeStats& stats = stats_.types[type];
  ++stats.rejected;
  stats.lastRejection = XdsRejection{clock_.wall(), message};
  log_->warn("{} {}: rejected {} of {} resources, what was there before stays: {}", stats.type,
             response.version_info(), result.rejected.size(), response.resources_size(), message);
  if (type == kAssignments) endFetchOf(result.rejected);
}

void AdsClient::listRejected(std::size_t type, const ApplyResult& result) {
  std::vector<std::string>& names = stats_.types[type].rejectedResources;
  // A response of endpoints says nothing about those that it does not contain.
  if (type != kAssignments) names.clear();
  stats_.types[type].unnamedRejected = std::ranges::any_of(
      result.rejected, [](const RejectedResource& resource) { return resource.name.empty(); });
  for (const std::string& name : result.accepted) std::erase(names, name);
  for (const RejectedResource& resource : result.rejected) {
    if (!resource.name.empty()) names.push_back(resource.name);
  }
  std::ranges::sort(names);
  names.erase(std::ranges::unique(names).begin(), names.end());
}

// As Envoy: a rejection ends the wait for the first assignment, and the cluster has no endpoints.
// A cluster that serves keeps its previous version until the time-out.
void AdsClient::endFetchOf(const std::vector<RejectedResource>& rejected) {
  for (const RejectedResource& resource : rejected) {
    if (!fetchTimers_.waiting(resource.name)) continue;
    snapshotChanged_ = store_.fetchRejected(resource.name) || snapshotChanged_;
  }
}

void AdsClient::onClosed(const grpc::Status& status) {
  const std::string reason = describeStatus(status);
  const bool wasConnected = std::exchange(stats_.connected, false);
  if (wasConnected) stats_.changedAt = clock_.wall();
  const bool repeated = !wasConnected && reason == stats_.lastError;
  stats_.lastError = reason;
  stream_.reset();
  fetchTimers_.pause();
  loop_.cancel(std::exchange(clusterTimer_, 0));

  const Nanos delay = backoff_.next();
  const Nanos now = clock_.monotonic();
  ++repeatedFailures_;
  if (!repeated || failureLogged_ == Nanos(0) || now - failureLogged_ >= kRepeatLogInterval) {
    log_->warn("{} {}: {}; next attempt in {} ms{}", wasConnected ? "lost" : "no answer from",
               options_.channel.target, reason, millis(delay),
               repeatedFailures_ > 1 ? fmt::format(" ({} attempts)", repeatedFailures_) : "");
    failureLogged_ = now;
  }
  retryTimer_ = loop_.after(delay, [this] { connect(); });
  scheduleFlush();
}

void AdsClient::onFetchTimeout(const std::string& edsName) {
  log_->warn("no endpoints for {} within initial_fetch_timeout: its cluster counts as empty",
             edsName);
  snapshotChanged_ = store_.fetchTimedOut(edsName) || snapshotChanged_;
  scheduleFlush();
}

void AdsClient::onExpiry() {
  expiryTimer_ = 0;
  for (const ResourceKey& expired : store_.expire(clock_.monotonic())) {
    const auto found =
        std::ranges::find(subscriptions_, expired.typeUrl, &SotwSubscription::typeUrl);
    XdsTypeStats& stats = stats_.types[static_cast<std::size_t>(found - subscriptions_.begin())];
    log_->warn("{} {}: its TTL is over, the control plane did not renew it: removed", stats.type,
               expired.name);
    ++stats.expired;
    found->forgetVersion();
    snapshotChanged_ = true;
  }
  scheduleFlush();
}

void AdsClient::send(SotwSubscription& subscription) {
  auto request = subscription.takeRequest();
  if (!std::exchange(nodeSent_, true)) *request.mutable_node() = options_.node;
  stream_->send(std::move(request));
}

void AdsClient::sendDueRequest() {
  if (!stream_ || stream_->sending()) return;
  for (std::size_t i = 0; i < subscriptions_.size(); ++i) {
    if (i == kListeners && !listenersWanted_) continue;
    if (subscriptions_[i].requestDue()) return send(subscriptions_[i]);
  }
}

void AdsClient::scheduleFlush() {
  if (std::exchange(flushScheduled_, true)) return;
  loop_.post([this, alive = std::weak_ptr<int>(alive_)] {
    if (!alive.expired()) flush();
  });
}

void AdsClient::flush() {
  flushScheduled_ = false;
  if (listenersWanted_) loop_.cancel(std::exchange(clusterTimer_, 0));
  std::vector<std::string> wanted = store_.wantedAssignments();
  std::erase_if(stats_.types[kAssignments].rejectedResources,
                [&](const std::string& name) { return !std::ranges::binary_search(wanted, name); });
  subscriptions_[kAssignments].setNames(std::move(wanted));
  sendDueRequest();
  setExpiryTimer();
  fetchTimers_.update(store_.missingAssignments());
  const auto snapshot = store_.snapshot();
  stats_.types[kClusters].resources = snapshot->clusters.size();
  stats_.types[kAssignments].resources = snapshot->assignments.size();
  stats_.types[kListeners].resources = snapshot->listeners.size() + snapshot->leftAlone.size();
  if (std::exchange(snapshotChanged_, false)) {
    for (const std::string& line : reservations_.update(*snapshot)) log_->info("{}", line);
    logKept(snapshot->kept);
    if (callbacks_.onSnapshot) callbacks_.onSnapshot(snapshot);
  }
  if (callbacks_.onStats) callbacks_.onStats(stats_);
  readNextAfterPosted();
}

// Each once, when it begins.
void AdsClient::logKept(const std::vector<KeptVersion>& kept) {
  std::set<std::string> lines;
  for (const KeptVersion& one : kept) {
    const auto line = lines.insert(fmt::format("{} {}: {}", one.type, one.name, one.why)).first;
    if (!keptLogged_.contains(*line)) log_->info("{}; its previous version is in force", *line);
  }
  keptLogged_ = std::move(lines);
}

void AdsClient::setExpiryTimer() {
  loop_.cancel(std::exchange(expiryTimer_, 0));
  const auto next = store_.nextExpiry();
  if (!next) return;
  expiryTimer_ =
      loop_.after(std::max(*next - clock_.monotonic(), Nanos(0)), [this] { onExpiry(); });
}

// What takes the snapshot into the kernel was posted by now: the next response waits behind it.
void AdsClient::readNextAfterPosted() {
  if (!readDue_) return;
  loop_.post([this, alive = std::weak_ptr<int>(alive_)] {
    if (alive.expired() || !stream_ || !std::exchange(readDue_, false)) return;
    stream_->receiveNext();
  });
}

}  // namespace sockmesh
