// SPDX-License-Identifier: Apache-2.0
#include "fuzz_server.h"

#include <grpcpp/impl/codegen/proto_utils.h>

#include <algorithm>
#include <array>
#include <utility>

#include "decode/type_urls.h"
#include "manual_time.h"
#include "store/resource_type.h"

namespace sockmesh::fuzz {
namespace {

using envoy::service::discovery::v3::DeltaDiscoveryRequest;
using envoy::service::discovery::v3::DeltaDiscoveryResponse;
using envoy::service::discovery::v3::DiscoveryRequest;
using envoy::service::discovery::v3::DiscoveryResponse;

constexpr std::array kTypes = {kClusterType, kAssignmentType, kListenerType, kRouteType,
                               kNameTableType};
// In a flood or a storm.
constexpr std::size_t kFlood = 600;

bool isWildcard(std::string_view url) {
  const ResourceType* type = findResourceType(url);
  return type != nullptr && type->scope == ResourceType::Scope::kAll;
}

void wrap(envoy::service::discovery::v3::Resource& wrapper, const Sent& resource,
          std::optional<int> ttlSeconds) {
  wrapper.set_name(resource.name);
  // A resource that expires is another one than the same that stays.
  wrapper.set_version((ttlSeconds ? "t" : "") + resource.version);
  *wrapper.mutable_resource() = resource.any;
  if (ttlSeconds) wrapper.mutable_ttl()->set_seconds(*ttlSeconds);
}

template <typename Request>
Request parsed(grpc::ByteBuffer& bytes) {
  Request request;
  const grpc::Status status = grpc::SerializationTraits<Request>::Deserialize(&bytes, &request);
  require(status.ok(), "a request can be parsed");
  return request;
}

}  // namespace

std::set<std::string> FuzzServer::subscribed(std::string_view type) const {
  const auto found = types_.find(std::string(type));
  return found == types_.end() ? std::set<std::string>() : found->second.names;
}

void FuzzServer::onStream(FuzzStream& stream, bool delta) {
  stream_ = &stream;
  delta_ = delta;
  nodeSeen_ = false;
  types_.clear();
  causes_ += static_cast<int>(kTypes.size());
}

void FuzzServer::onRequest(grpc::ByteBuffer request) {
  ++requests_;
  require(requests_ <= 4 * causes_, "requests have a cause");
  if (delta_) {
    onDelta(parsed<DeltaDiscoveryRequest>(request));
  } else {
    onSotw(parsed<DiscoveryRequest>(request));
  }
  nodeSeen_ = true;
  if (!slow_) stream_->takeRequest();
}

template <typename Request>
void FuzzServer::checkAnswer(const Type& type, const Request& request) {
  const bool refused = request.has_error_detail();
  const auto said = type.said.find(request.response_nonce());
  // A change of names before anything was said has no nonce.
  if (request.response_nonce().empty() && type.delivered == 0) {
    return require(!refused, "nothing was said");
  }
  require(said != type.said.end(), "an answer has the nonce of a response on this stream");
  require(!refused || said->second.mayBeRefused,
          "what is good is not refused: " + request.error_detail().message());
}

void FuzzServer::onSotw(const DiscoveryRequest& request) {
  require(findResourceType(request.type_url()) != nullptr, "a request is of a type of ours");
  require(request.has_node() != nodeSeen_, "a stream's first request alone has the node");
  Type& type = types_[request.type_url()];
  const std::set<std::string> names(request.resource_names().begin(),
                                    request.resource_names().end());
  require(names.size() == static_cast<std::size_t>(request.resource_names_size()),
          "a request names each name once");
  if (!type.requested) {
    require(request.response_nonce().empty(), "a stream's first request answers nothing");
    require(isWildcard(request.type_url()) == names.empty(), "a first request is no wildcard");
  } else {
    checkAnswer(type, request);
  }
  type.due = type.due || !type.requested || names != type.names;
  type.requested = true;
  type.names = names;
  type.answeredNonce = request.response_nonce();
}

void FuzzServer::onDelta(const DeltaDiscoveryRequest& request) {
  require(findResourceType(request.type_url()) != nullptr, "a request is of a type of ours");
  require(request.has_node() != nodeSeen_, "a stream's first request alone has the node");
  Type& type = types_[request.type_url()];
  const bool first = !std::exchange(type.requested, true);
  const bool changes =
      request.resource_names_subscribe_size() > 0 || request.resource_names_unsubscribe_size() > 0;
  const std::string& nonce = request.response_nonce();
  if (first) {
    require(nonce.empty(), "a stream's first request answers nothing");
    require(isWildcard(request.type_url()) != changes, "a first request is no wildcard");
    type.held = {request.initial_resource_versions().begin(),
                 request.initial_resource_versions().end()};
    type.due = true;
  } else {
    require(request.initial_resource_versions().empty(), "versions come first");
    require(nonce.empty() || !changes, "an answer changes no subscription");
    if (!changes) checkAnswer(type, request);
    type.answered += changes ? 0 : 1;
  }
  for (const std::string& name : request.resource_names_unsubscribe()) {
    type.names.erase(name);
    type.unanswered.erase(name);
    type.held.erase(name);
  }
  for (const std::string& name : request.resource_names_subscribe()) {
    type.names.insert(name);
    type.unanswered.insert(name);
    // A name that is asked for once more was forgotten.
    if (!first) type.held.erase(name);
    type.due = true;
  }
}

void FuzzServer::onRead() {
  ++causes_;
  const auto& [update, said] = *last_;
  Type& type = types_[update.typeUrl];
  if (!type.requested) return;
  ++type.delivered;
  type.lastNonce = update.nonce;
  Said& all = type.said[update.nonce];
  all.mayBeTaken = all.mayBeTaken || said.mayBeTaken;
  all.mayBeRefused = all.mayBeRefused || said.mayBeRefused;
}

// Lost where the client is not ready for it.
void FuzzServer::say(Update update, Said said) {
  if (stream_ == nullptr || !stream_->wantsNext()) return;
  last_ = {std::move(update), said};
  stream_->deliver(last_->first);
}

Sent FuzzServer::someResource(const std::string& type, Said& said) {
  const std::size_t number = script_.below(kNames);
  const std::size_t target = script_.below(kNames);
  const bool bad = script_.below(6) == 0;
  if (bad) said = {.mayBeTaken = false, .mayBeRefused = true};
  if (type == kClusterType) {
    return bad ? badCluster(number)
               : cluster(number, target, 1 + static_cast<int>(script_.below(3)));
  }
  if (type == kAssignmentType) {
    return bad ? badAssignment(number) : assignment(number, 1U + script_.byte());
  }
  if (type == kRouteType) return bad ? badRoutes(number) : routes(number, target);
  if (bad) return badListener(number);
  return script_.coin() ? tcpListener(number, target) : httpListener(number, target);
}

FuzzServer::Response FuzzServer::someResponse() {
  Response response;
  response.type = kTypes[script_.below(4)];
  response.said.mayBeTaken = true;
  std::set<std::string> names;
  for (std::size_t left = script_.below(6); left > 0; --left) {
    Sent one = someResource(response.type, response.said);
    if (names.insert(one.name).second) response.resources.push_back(std::move(one));
  }
  // What nobody wants of a type by name is not even looked at.
  if (!isWildcard(response.type)) response.said.mayBeTaken = true;
  for (std::size_t left = delta_ ? script_.below(3) : 0; left > 0; --left) {
    const std::string name =
        std::string(1, "celr"[script_.below(4)]) + std::to_string(script_.below(kNames));
    if (names.insert(name).second) response.removed.push_back(name);
  }
  response.wrapped = script_.coin();
  if (script_.below(8) == 0) response.ttlSeconds = 1 + static_cast<int>(script_.below(100));
  return response;
}

Update FuzzServer::pack(const Response& response, const std::string& nonce) const {
  if (delta_) {
    DeltaDiscoveryResponse delta;
    delta.set_type_url(response.type);
    delta.set_nonce(nonce);
    for (const Sent& one : response.resources) {
      wrap(*delta.add_resources(), one, response.ttlSeconds);
    }
    for (const std::string& name : response.removed) delta.add_removed_resources(name);
    return updateOf(delta);
  }
  DiscoveryResponse whole;
  whole.set_type_url(response.type);
  whole.set_version_info("s" + nonce);
  whole.set_nonce(nonce);
  for (const Sent& one : response.resources) {
    if (!response.wrapped && !response.ttlSeconds) {
      *whole.add_resources() = one.any;
      continue;
    }
    envoy::service::discovery::v3::Resource wrapper;
    wrap(wrapper, one, response.ttlSeconds);
    whole.add_resources()->PackFrom(wrapper);
  }
  return updateOf(whole);
}

std::string FuzzServer::someNonce() {
  switch (behaves_ ? 2 : script_.below(8)) {
    case 0:
      return "";
    case 1:
      return "n" + std::to_string(nonces_);  // once more
    default:
      return "n" + std::to_string(++nonces_);
  }
}

// Any bytes as a response.
void FuzzServer::sayRaw() {
  const std::string type(kTypes[script_.below(kTypes.size())]);
  const std::string bytes = script_.bytes();
  const Said any{.mayBeTaken = true, .mayBeRefused = true};
  const auto sayAs = [&](auto response) {
    if (!response.ParseFromString(bytes)) return;
    response.set_type_url(type);
    response.set_nonce(someNonce());
    say(updateOf(response), any);
  };
  delta_ ? sayAs(DeltaDiscoveryResponse()) : sayAs(DiscoveryResponse());
}

// Out of order: what was kept comes after what was said later.
void FuzzServer::delay() {
  if (delayed_) {
    const Message late = *std::exchange(delayed_, std::nullopt);
    // A message of the other protocol does not come on this stream.
    if (late.first.stateOfTheWorld != delta_) say(late.first, late.second);
    return;
  }
  const Response one = someResponse();
  delayed_ = {pack(one, someNonce()), one.said};
}

void FuzzServer::repeat() {
  if (!last_ || last_->first.stateOfTheWorld == delta_) return;
  const Message again = *last_;
  say(again.first, again.second);
}

// One response with very many bad resources, and a long name.
void FuzzServer::storm() {
  Response response;
  response.type = kTypes[script_.coin() ? 0 : 2];
  response.said.mayBeRefused = true;
  for (std::size_t i = 0; i < kFlood; ++i) {
    response.resources.push_back(response.type == kClusterType ? badCluster(i) : badListener(i));
  }
  response.removed.emplace_back(100'000, 'x');
  say(pack(response, someNonce()), response.said);
}

// Very many good ones, each of which wants another. Once in a run, because it takes its time.
void FuzzServer::flood() {
  if (std::exchange(flooded_, true)) return;
  Response response;
  response.type = kClusterType;
  response.said.mayBeTaken = true;
  for (std::size_t i = 0; i < kFlood; ++i) response.resources.push_back(cluster(i, i, 1));
  say(pack(response, someNonce()), response.said);
}

void FuzzServer::close(grpc::StatusCode code) {
  if (stream_ != nullptr) stream_->end({code, "fuzzed"});
}

void FuzzServer::takeRequests() {
  if (stream_ != nullptr && stream_->sending()) stream_->takeRequest();
}

void FuzzServer::misbehave() {
  static constexpr std::array kWaits = {1, 500, 2000, 15'000, 60'000, 3'600'000};
  const std::size_t what = stream_ == nullptr ? 15 : script_.below(16);
  switch (what) {
    case 8:
      return sayRaw();
    case 9:
      return delay();
    case 10:
      return repeat();
    case 11:
      return close(static_cast<grpc::StatusCode>(script_.below(17)));
    case 12:
      if (slow_) takeRequests();
      slow_ = !slow_;
      return;
    case 13:
      return script_.coin() ? storm() : flood();
    case 14:  // lost in the middle of a message
      saySome();
      return close(grpc::StatusCode::UNAVAILABLE);
    case 15:
      causes_ += 2;
      return advanceTime(std::chrono::milliseconds(kWaits[script_.below(kWaits.size())]));
    default:
      return saySome();
  }
}

void FuzzServer::beginToBehave(const World& world) {
  world_ = world;
  behaves_ = true;
  for (auto& [url, type] : types_) type.due = true;
  if (slow_) takeRequests();
  slow_ = false;
  // What a delta client has, is known at the beginning of a stream.
  if (delta_ || script_.coin()) close(grpc::StatusCode::UNAVAILABLE);
}

bool FuzzServer::behave() {
  if (stream_ == nullptr) {
    causes_ += 2;
    advanceTime(std::chrono::minutes(1));
    return true;
  }
  // It may keep back an answer for a second, see AdsClientOptions::repeatedRejectionWait.
  if (!stream_->wantsNext()) {
    advanceTime(std::chrono::seconds(1));
    return true;
  }
  return std::ranges::any_of(kTypes, [this](std::string_view url) {
    const auto found = types_.find(std::string(url));
    if (found == types_.end() || !found->second.requested) return false;
    if (!std::exchange(found->second.due, false)) return false;
    return answer(found->first, found->second);
  });
}

bool FuzzServer::answer(const std::string& url, Type& type) {
  const Response response = delta_ ? changes(url, type) : whole(url, type);
  if (!isWildcard(url) && response.resources.empty() && response.removed.empty()) return false;
  say(pack(response, someNonce()), response.said);
  return true;
}

FuzzServer::Response FuzzServer::whole(const std::string& url, const Type& type) const {
  Response response{.type = url, .said = {.mayBeTaken = true}};
  const auto all = world_.byType.find(url);
  if (all == world_.byType.end()) return response;
  for (const auto& [name, one] : all->second) {
    if (isWildcard(url) || type.names.contains(name)) response.resources.push_back(one);
  }
  return response;
}

FuzzServer::Response FuzzServer::changes(const std::string& url, Type& type) const {
  Response response{.type = url, .said = {.mayBeTaken = true}};
  const auto found = world_.byType.find(url);
  const Resources all = found == world_.byType.end() ? Resources() : found->second;
  for (const auto& [name, one] : all) {
    if (!isWildcard(url) && !type.unanswered.contains(name)) continue;
    const auto held = type.held.find(name);
    if (held == type.held.end() || held->second != one.version) response.resources.push_back(one);
  }
  const auto gone = [&](const std::string& name) {
    if (!all.contains(name)) response.removed.push_back(name);
  };
  for (const auto& [name, version] : type.held) gone(name);
  for (const std::string& name : type.unanswered) {
    if (!type.held.contains(name)) gone(name);
  }
  type.unanswered.clear();
  type.held.clear();
  for (const auto& [name, one] : all) type.held[name] = one.version;
  return response;
}

void FuzzServer::checkAnswered() const {
  for (const auto& [url, type] : types_) {
    if (type.delivered == 0) continue;
    if (delta_) {
      require(type.answered == type.delivered, "each response has one answer");
    } else {
      require(type.answeredNonce == type.lastNonce, "the last response has its answer");
    }
  }
}

}  // namespace sockmesh::fuzz
