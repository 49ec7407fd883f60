// SPDX-License-Identifier: Apache-2.0
#include "ads_session.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "envoy/config/cluster/v3/cluster.pb.h"
#include "xds/type_urls.h"

namespace sockmesh {
namespace {

const std::string kCds(kClusterType);
const std::string kEds(kAssignmentType);
const std::string kLds(kListenerType);
const std::string kRds(kRouteType);

bool sameContents(const ResourcesByName& a, const ResourcesByName& b) {
  return std::ranges::equal(a, b, [](const auto& x, const auto& y) {
    return x.first == y.first && x.second->hash == y.second->hash;
  });
}

bool heldUnchanged(const ResourcesByName& held, const ResourcesByName::value_type& resource) {
  const auto found = held.find(resource.first);
  return found != held.end() && found->second->hash == resource.second->hash;
}

// The EDS names that `clusters` refer to.
std::set<std::string> assignmentNames(const ResourcesByName& clusters) {
  using envoy::config::cluster::v3::Cluster;
  std::set<std::string> names;
  for (const auto& [name, resource] : clusters) {
    google::protobuf::Any any = resource->any;
    envoy::service::discovery::v3::Resource wrapper;
    if (any.UnpackTo(&wrapper)) any = wrapper.resource();
    Cluster cluster;
    if (!any.UnpackTo(&cluster) || cluster.type() != Cluster::EDS) continue;
    const std::string& service = cluster.eds_cluster_config().service_name();
    names.insert(service.empty() ? cluster.name() : service);
  }
  return names;
}

}  // namespace

bool isFullSetType(const std::string& typeUrl) {
  return typeUrl != kEds && typeUrl != kRds;
}

AdsSession::AdsSession(EventLoop& loop, std::shared_ptr<const ResourceSet> resources, Hooks hooks,
                       Nanos stepTimeout)
    : loop_(loop),
      resources_(std::move(resources)),
      hooks_(std::move(hooks)),
      stepTimeout_(stepTimeout) {}

AdsSession::~AdsSession() {
  loop_.cancel(stepTimer_);
}

void AdsSession::onRequest(const Request& request) {
  if (nodeId_ == "?" && !request.node().id().empty()) nodeId_ = request.node().id();
  const auto [entry, first] = types_.try_emplace(request.type_url());
  TypeState& state = entry->second;
  noteAnswer(request, state);
  // The request was sent before the latest response arrived. The answer to that response repeats
  // all names.
  const bool stale = !request.response_nonce().empty() && request.response_nonce() != state.nonce;
  if (stale && !first) return;
  if (updateSubscription(request, state) || first) {
    answerSubscription(request.type_url(), state, first);
  }
  advance();
}

void AdsSession::noteAnswer(const Request& request, TypeState& state) {
  const std::string type = shortTypeName(request.type_url());
  if (request.has_error_detail()) {
    hooks_.log(fmt::format("NACK {} {}: {}", type,
                           request.response_nonce() == state.nonce ? state.version : "(older)",
                           request.error_detail().message()),
               true);
  }
  if (!state.unanswered || request.response_nonce() != state.nonce) return;
  state.unanswered = false;
  if (!request.has_error_detail()) hooks_.log(fmt::format("ACK {} {}", type, state.version), false);
}

bool AdsSession::updateSubscription(const Request& request, TypeState& state) const {
  std::set<std::string> names(request.resource_names().begin(), request.resource_names().end());
  state.namedOnce = state.namedOnce || !names.empty();
  const bool star = names.erase("*") > 0;
  const bool wildcard = isFullSetType(request.type_url()) && (star || !state.namedOnce);
  const bool changed = names != state.names || wildcard != state.wildcard;
  state.names = std::move(names);
  state.wildcard = wildcard;
  return changed;
}

void AdsSession::answerSubscription(const std::string& typeUrl, TypeState& state, bool first) {
  const ResourcesByName wanted = subscribed(typeUrl, state);
  if (isFullSetType(typeUrl)) {
    if (first || !sameContents(wanted, state.sent)) send(typeUrl, state, wanted);
    return;
  }
  // A name that was unsubscribed and comes back is sent again.
  std::erase_if(state.sent, [&](const auto& held) { return !state.names.contains(held.first); });
  sendChanges(typeUrl, false);
}

ResourcesByName AdsSession::subscribed(const std::string& typeUrl, const TypeState& state) const {
  const ResourcesByName& all = resources_->ofType(typeUrl);
  if (state.wildcard) return all;
  ResourcesByName wanted;
  for (const std::string& name : state.names) {
    if (const auto found = all.find(name); found != all.end()) wanted.insert(*found);
  }
  return wanted;
}

// A client warms a changed cluster until it has received its endpoints again, also if they are the
// same. Envoy waits for up to 15 seconds.
void AdsSession::forgetAssignmentsOf(const ResourcesByName& held, const ResourcesByName& clusters) {
  const auto assignments = types_.find(kEds);
  if (assignments == types_.end()) return;
  ResourcesByName changed;
  for (const auto& cluster : clusters) {
    if (held.contains(cluster.first) && !heldUnchanged(held, cluster)) changed.insert(cluster);
  }
  for (const std::string& name : assignmentNames(changed)) assignments->second.sent.erase(name);
}

void AdsSession::send(const std::string& typeUrl, TypeState& state,
                      const ResourcesByName& resources) {
  if (typeUrl == kCds) forgetAssignmentsOf(state.sent, resources);
  if (isFullSetType(typeUrl)) state.sent = resources;
  Response response;
  for (const auto& [name, resource] : resources) {
    *response.add_resources() = resource->any;
    state.sent.insert_or_assign(name, resource);
  }
  state.version = versionOf(isFullSetType(typeUrl) ? resources : resources_->ofType(typeUrl));
  state.nonce = std::to_string(nextNonce_++);
  state.unanswered = true;
  response.set_type_url(typeUrl);
  response.set_version_info(state.version);
  response.set_nonce(state.nonce);
  response.mutable_control_plane()->set_identifier("sockmesh-xds");
  hooks_.send(std::move(response));
}

void AdsSession::onResources(std::shared_ptr<const ResourceSet> resources) {
  resources_ = std::move(resources);
  neededAssignments_.clear();
  const auto clusters = types_.find(kCds);
  if (clusters != types_.end()) {
    const ResourcesByName& served = resources_->ofType(kEds);
    for (const std::string& name : assignmentNames(subscribed(kCds, clusters->second))) {
      if (served.contains(name)) neededAssignments_.insert(name);
    }
  }
  enterStep(Step::kClusters);
  advance();
}

void AdsSession::enterStep(Step step) {
  step_ = step;
  loop_.cancel(std::exchange(stepTimer_, 0));
  if (step == Step::kDone) return;
  for (const std::string& typeUrl : typesOf(step)) sendChanges(typeUrl, step == Step::kClusters);
  stepTimer_ = loop_.after(stepTimeout_, [this] {
    stepTimer_ = 0;
    enterStep(static_cast<Step>(static_cast<int>(step_) + 1));
    advance();
  });
}

void AdsSession::advance() {
  while (step_ != Step::kDone && stepAnswered()) {
    enterStep(static_cast<Step>(static_cast<int>(step_) + 1));
  }
}

std::vector<std::string> AdsSession::typesOf(Step step) const {
  std::vector<std::string> types;
  for (const auto& [typeUrl, state] : types_) {
    Step when = Step::kOthers;
    if (typeUrl == kCds) when = Step::kClusters;
    if (typeUrl == kEds) when = Step::kAssignments;
    if (typeUrl == kLds) when = Step::kListeners;
    if (typeUrl == kRds) when = Step::kRoutes;
    const bool unusedClusters = step == Step::kUnusedClusters && typeUrl == kCds;
    if (when == step || unusedClusters) types.push_back(typeUrl);
  }
  return types;
}

bool AdsSession::stepAnswered() const {
  for (const std::string& typeUrl : typesOf(step_)) {
    if (types_.at(typeUrl).unanswered) return false;
  }
  return step_ != Step::kAssignments || !awaitsAssignmentRequests();
}

bool AdsSession::awaitsAssignmentRequests() const {
  const auto assignments = types_.find(kEds);
  if (assignments == types_.end()) return !neededAssignments_.empty();
  return !std::ranges::includes(assignments->second.names, neededAssignments_);
}

void AdsSession::sendChanges(const std::string& typeUrl, bool keepRemoved) {
  TypeState& state = types_.at(typeUrl);
  ResourcesByName resources = subscribed(typeUrl, state);
  if (isFullSetType(typeUrl)) {
    if (keepRemoved) resources.insert(state.sent.begin(), state.sent.end());
    if (!sameContents(resources, state.sent)) send(typeUrl, state, resources);
    return;
  }
  std::erase_if(state.sent, [&](const auto& held) { return !resources.contains(held.first); });
  std::erase_if(resources, [&](const auto& wanted) { return heldUnchanged(state.sent, wanted); });
  if (!resources.empty()) send(typeUrl, state, resources);
}

}  // namespace sockmesh
