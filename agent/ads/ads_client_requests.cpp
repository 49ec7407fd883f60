// SPDX-License-Identifier: Apache-2.0
// What the client asks for, and when.
#include <algorithm>
#include <chrono>
#include <utility>

#include "ads/ads_client.h"
#include "base/log.h"

namespace sockmesh {
namespace {

// Of names and versions in a first request. istiod takes 4 MiB.
constexpr std::size_t kMostToldBytes = std::size_t{3} << 20U;

}  // namespace

// The first request of a stream names all that is held. Where that would be too much for a server,
// nothing is told and everything comes again: no connection depends on these types.
void AdsClient::beginAsking(Type& type) {
  timers_.onAsked(*type.row);
  type.stats.note.clear();
  if (!type.row->deltaOnly) return;
  std::size_t bytes = 0;
  for (const auto& [name, version] : store_.versions(*type.row)) {
    bytes += name.size() + version.size();
  }
  if (bytes <= kMostToldBytes || !store_.forget(*type.row)) return;
  snapshotChanged_ = true;
  scheduleFlush();
}

// This stream does not carry the type, so nobody says any more what of it is still true.
void AdsClient::doWithout(Type& type) {
  type.stats.note = "needs the delta protocol, and the stream is state of the world";
  if (!store_.forget(*type.row)) return;
  snapshotChanged_ = true;
  scheduleFlush();
}

void AdsClient::onRest(const ResourceType& row, Nanos length) {
  Type& type = *find(row.url);
  const auto seconds = std::chrono::ceil<std::chrono::seconds>(length).count();
  type.stats.note =
      fmt::format("the last stream ended before it was answered; it rests for {} s", seconds);
  log_->info("{} {}", type.stats.type, type.stats.note);
}

void AdsClient::send(Subscription& subscription) {
  const bool first = !std::exchange(nodeSent_, true);
  stream_->send(subscription.nextRequest(first ? &options_.node : nullptr));
}

void AdsClient::sendDueRequest() {
  if (!stream_ || stream_->sending()) return;
  for (Type& type : types_) {
    if (!timers_.mayAsk(*type.row) || !store_.needs(*type.row)) continue;
    if (type.rejectionTimer != 0 || (type.row->deltaOnly && !protocol_->isDelta())) continue;
    if (!type.subscription->requestDue()) continue;
    if (!type.subscription->requestedOnStream()) beginAsking(type);
    return send(*type.subscription);
  }
}

void AdsClient::updateNames() {
  for (Type& type : types_) {
    if (!type.byName()) continue;
    const std::uint64_t revision = store_.wantedRevision(*type.row);
    if (std::exchange(type.namesRevision, revision) == revision) continue;
    std::vector<std::string> wanted = store_.wanted(*type.row);
    std::erase_if(type.stats.rejectedResources, [&](const std::string& name) {
      return !std::ranges::binary_search(wanted, name);
    });
    type.subscription->setNames(std::move(wanted));
    release(type);
  }
}

}  // namespace sockmesh
