// SPDX-License-Identifier: Apache-2.0
#include "kube/pod_watch.h"

#include <algorithm>
#include <condition_variable>
#include <iterator>
#include <mutex>
#include <random>
#include <set>
#include <utility>

#include "base/log.h"

namespace sockmesh {
namespace {

// Of each object only the metadata is asked for. The second word is for a server that cannot.
constexpr const char* kAcceptList =
    "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";
constexpr const char* kAcceptWatch =
    "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json";
constexpr int kGone = 410;  // the resource version is too old
constexpr std::size_t kMaxPageBytes = std::size_t{64} << 20;
constexpr std::size_t kMaxEventBytes = std::size_t{16} << 20;
constexpr std::size_t kMaxPods = 100'000;  // of one node
// A watch that ends sooner than this is no success.
constexpr Nanos kWorthwhile = std::chrono::seconds(5);

Nanos wall() {
  return SystemClock().wall();
}

void waitFor(const std::stop_token& stop, Nanos time) {
  std::mutex mutex;
  std::unique_lock lock(mutex);
  std::condition_variable_any ended;
  ended.wait_for(lock, stop, time, [] { return false; });
}

}  // namespace

void PodNews::add(PodNews later) {
  changes.insert(changes.end(), std::make_move_iterator(later.changes.begin()),
                 std::make_move_iterator(later.changes.end()));
  stats = std::move(later.stats);
}

Result<std::unique_ptr<PodWatch>> PodWatch::start(PodWatchOptions options, Callbacks callbacks) {
  auto client = ApiClient::create(options.server);
  if (!client) return client.error();
  std::unique_ptr<PodWatch> watch(
      new PodWatch(std::move(options), std::move(callbacks), std::move(client).value()));
  PodWatch* self = watch.get();
  self->thread_ = std::jthread([self](const std::stop_token& stop) { self->run(stop); });
  return watch;
}

PodWatch::PodWatch(PodWatchOptions options, Callbacks callbacks, std::unique_ptr<ApiClient> client)
    : options_(std::move(options)),
      callbacks_(std::move(callbacks)),
      client_(std::move(client)),
      backoff_(options_.firstDelay, options_.longestDelay, std::random_device()()),
      selector_("/api/v1/pods?fieldSelector=" + queryEscaped("spec.nodeName=" + options_.node)) {
  stats_.address = client_->address();
}

PodWatch::~PodWatch() {
  thread_.request_stop();
  client_->stop();
}

// Every end is followed by a delay with jitter, so that the nodes do not come back together.
void PodWatch::run(const std::stop_token& stop) {
  if (callbacks_.onThread) callbacks_.onThread();
  tell();
  while (!stop.stop_requested()) {
    const Nanos begun = SystemClock().monotonic();
    const Status ended = turn();
    if (stop.stop_requested()) return;
    if (SystemClock().monotonic() - begun >= kWorthwhile && version_ != "") backoff_.reset();
    if (!ended) noteFailure(ended.error());
    waitFor(stop, backoff_.next());
  }
}

Status PodWatch::turn() {
  if (version_.empty()) {
    if (auto listed = list(); !listed) return listed.error().in("list of pods");
  }
  if (auto watched = watch(); !watched) return watched.error().in("watch of pods");
  return {};
}

// One page as text. An answer other than 200 is an error.
Result<std::string> PodWatch::page(const std::string& next) {
  std::string path = selector_ + "&limit=" + std::to_string(options_.pageSize);
  if (!next.empty()) {
    path += "&continue=" + queryEscaped(next);
  } else if (!listFrom_.empty()) {
    path += "&resourceVersion=" + queryEscaped(listFrom_);
  }
  std::string body;
  const auto answer = client_->get(
      {path, kAcceptList, options_.listSilence}, [&](std::string_view piece) -> Status {
        body += piece;
        if (body.size() <= kMaxPageBytes) return {};
        options_.pageSize = std::max<std::size_t>(options_.pageSize / 2, 1);
        return Error("a page is too large, smaller ones are asked for");
      });
  if (!answer) return answer.error();
  if (answer->status != 200) return refused(*answer).error();
  return body;
}

// After a failure the next list is of the newest state, which every API server has.
Status PodWatch::list() {
  std::set<std::string> listed;
  std::string version;
  std::string next;
  do {
    auto text = page(next);
    if (!text) {
      listFrom_.clear();
      return text.error();
    }
    auto parsed = parsePodPage(*text);
    if (!parsed) return parsed.error();
    for (const PodFacts& pod : parsed->pods) {
      put(pod);
      listed.insert(pod.uid);
    }
    if (listed.size() > kMaxPods) return Error("more than " + std::to_string(kMaxPods) + " pods");
    version = parsed->resourceVersion;
    next = parsed->next;
  } while (!next.empty());
  std::vector<std::string> gone;
  for (const auto& [uid, decision] : pods_) {
    if (!listed.contains(uid)) gone.push_back(uid);
  }
  for (const std::string& uid : gone) erase(uid);
  version_ = listFrom_ = version;
  ++stats_.lists;
  stats_.listedAt = stats_.heardAt = wall();
  tell();
  return {};
}

Status PodWatch::watch() {
  const auto length = std::chrono::ceil<std::chrono::seconds>(options_.watchLength).count();
  const std::string path =
      selector_ + "&watch=1&allowWatchBookmarks=true&timeoutSeconds=" + std::to_string(length) +
      "&resourceVersion=" + queryEscaped(version_);
  line_.clear();
  const auto answer = client_->get(
      {path, kAcceptWatch, options_.watchSilence},
      [this](std::string_view piece) { return takePiece(piece); }, [this] { setWatching(true); });
  if (!answer) return answer.error();
  return answer->status == 200 ? Status() : refused(*answer);
}

Status PodWatch::takePiece(std::string_view piece) {
  while (!piece.empty()) {
    const std::size_t end = std::min(piece.find('\n'), piece.size());
    line_ += piece.substr(0, end);
    if (line_.size() > kMaxEventBytes) return Error("an event is too large");
    if (end == piece.size()) break;
    piece.remove_prefix(end + 1);
    const std::string line = std::exchange(line_, {});
    if (line.empty()) continue;
    if (auto taken = takeEvent(line); !taken) {
      tell();
      return taken;
    }
  }
  tell();
  return {};
}

// After an error the state is listed again.
Status PodWatch::takeEvent(std::string_view line) {
  auto event = parsePodEvent(line);
  if (!event || event->kind == PodEvent::Kind::kError) {
    version_.clear();
    if (!event) return event.error();
    if (event->code == kGone) listFrom_.clear();
    return Error(std::to_string(event->code) + ": " + event->message);
  }
  if (event->kind == PodEvent::Kind::kChanged) put(event->pod);
  if (event->kind == PodEvent::Kind::kDeleted) erase(event->pod.uid);
  version_ = listFrom_ = event->resourceVersion;
  stats_.heardAt = wall();
  return {};
}

// An answer other than 200, as an error.
Status PodWatch::refused(const ApiClient::Answer& answer) {
  if (answer.status == kGone) {
    version_.clear();
    listFrom_.clear();
  }
  const std::string message = statusMessage(answer.body);
  return Error("HTTP " + std::to_string(answer.status) + (message.empty() ? "" : ": " + message));
}

void PodWatch::put(const PodFacts& pod) {
  auto decision = decide(options_.rules, pod);
  const auto [known, isNew] = pods_.try_emplace(pod.uid);
  if (!isNew && known->second == decision) return;
  if (isNew) ++stats_.pods;
  count(known->second, std::uint64_t(0) - 1);
  count(decision, 1);
  if (decision) {
    stats_.named[pod.uid] = *decision;
  } else {
    stats_.named.erase(pod.uid);
  }
  known->second = decision;
  changes_.push_back({pod.uid, true, std::move(decision)});
}

void PodWatch::erase(const std::string& uid) {
  const auto known = pods_.find(uid);
  if (known == pods_.end()) return;
  count(known->second, std::uint64_t(0) - 1);
  --stats_.pods;
  stats_.named.erase(uid);
  pods_.erase(known);
  changes_.push_back({uid, false, std::nullopt});
}

void PodWatch::count(const std::optional<NamedPod>& decision, std::uint64_t by) {
  if (!decision) return;
  (decision->letIn ? stats_.letIn : stats_.leftOut) += by;
}

void PodWatch::setWatching(bool watching) {
  if (stats_.watching == watching) return;
  stats_.watching = watching;
  stats_.changedAt = wall();
  if (watching) {
    logger("pods")->info("{} pods of node {} are watched at {}: {} left out, {} let in",
                         stats_.pods, options_.node, stats_.address, stats_.leftOut, stats_.letIn);
  }
  tell();
}

void PodWatch::noteFailure(const Error& error) {
  const bool known = !stats_.watching && stats_.lastError == error.message();
  ++stats_.failures;
  stats_.lastError = error.message();
  if (!known) logger("pods")->warn("{}: {}; what is known stays", stats_.address, error.message());
  setWatching(false);
  tell();
}

void PodWatch::tell() {
  callbacks_.onNews({std::exchange(changes_, {}), stats_});
}

}  // namespace sockmesh
