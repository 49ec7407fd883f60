// SPDX-License-Identifier: Apache-2.0
#include "ads_session.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "decode/type_urls.h"
#include "envoy/config/cluster/v3/cluster.pb.h"

namespace sockmesh {
namespace {

const std::string kCds(kClusterType);
const std::string kEds(kAssignmentType);
const std::string kLds(kListenerType);
const std::string kRds(kRouteType);

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

bool heldUnchanged(const ResourcesByName& held, const ResourcesByName::value_type& resource) {
  const auto found = held.find(resource.first);
  return found != held.end() && found->second->hash == resource.second->hash;
}

AdsSession::AdsSession(EventLoop& loop, std::shared_ptr<const ResourceSet> resources, Log log,
                       Nanos stepTimeout)
    : loop_(loop),
      resources_(std::move(resources)),
      log_(std::move(log)),
      stepTimeout_(stepTimeout) {}

AdsSession::~AdsSession() {
  loop_.cancel(stepTimer_);
}

void AdsSession::noteNode(const envoy::config::core::v3::Node& node) {
  if (nodeId_ == "?" && !node.id().empty()) nodeId_ = node.id();
}

void AdsSession::noteAnswer(const std::string& typeUrl, TypeState& state, const Answer& answer) {
  const std::string type = shortTypeName(typeUrl);
  if (answer.rejected) {
    log_(fmt::format("NACK {} {}: {}", type,
                     answer.nonce == state.nonce ? state.version : "(older)", answer.message),
         true);
  }
  if (!state.unanswered || answer.nonce != state.nonce) return;
  state.unanswered = false;
  if (!answer.rejected) log_(fmt::format("ACK {} {}", type, state.version), false);
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

void AdsSession::forgetAssignmentsOf(const ResourcesByName& held, const ResourcesByName& clusters) {
  const auto assignments = types_.find(kEds);
  if (assignments == types_.end()) return;
  ResourcesByName changed;
  for (const auto& cluster : clusters) {
    if (held.contains(cluster.first) && !heldUnchanged(held, cluster)) changed.insert(cluster);
  }
  for (const std::string& name : assignmentNames(changed)) assignments->second.sent.erase(name);
}

void AdsSession::beginResponse(TypeState& state, std::string version) {
  state.version = std::move(version);
  state.nonce = std::to_string(nextNonce_++);
  state.unanswered = true;
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
  for (const std::string& typeUrl : typesOf(step)) {
    sendChanges(typeUrl, types_.at(typeUrl), step == Step::kClusters);
  }
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

}  // namespace sockmesh
