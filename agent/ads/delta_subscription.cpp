// SPDX-License-Identifier: Apache-2.0
#include "ads/delta_subscription.h"

#include <algorithm>
#include <iterator>

#include "google/rpc/status.pb.h"

namespace sockmesh {
namespace {

// google.rpc.Code INTERNAL, as Envoy sends. Servers only look whether error_detail is present.
constexpr int kNackCode = 13;

std::vector<std::string> difference(const std::vector<std::string>& a,
                                    const std::vector<std::string>& b) {
  std::vector<std::string> only;
  std::ranges::set_difference(a, b, std::back_inserter(only));
  return only;
}

}  // namespace

void DeltaSubscription::setNames(std::vector<std::string> names) {
  if (requested_) {
    for (std::string& name : difference(names_, names)) {
      subscribe_.erase(name);
      unsubscribe_.insert(std::move(name));
    }
    for (std::string& name : difference(names, names_)) {
      unsubscribe_.erase(name);
      subscribe_.insert(std::move(name));
    }
  }
  names_ = std::move(names);
}

void DeltaSubscription::onStreamUp() {
  subscribe_.clear();
  unsubscribe_.clear();
  answers_.clear();
  requested_ = false;
}

void DeltaSubscription::answer(const Update& update, const ApplyResult& result) {
  answers_.push_back({update.nonce, !result.ok(), result.ok() ? "" : result.message()});
  if (answers_.size() > kMaxAnswers) answers_.pop_front();
}

// Of a wildcard, the next stream's first request does not have the name, and the server sends it.
void DeltaSubscription::forget(const std::string& name) {
  if (requested_ && std::ranges::binary_search(names_, name)) subscribe_.insert(name);
}

bool DeltaSubscription::requestDue() const {
  // An empty first request of a type that is asked for by name might be read as a wildcard.
  if (!requested_) return type_.scope == ResourceType::Scope::kAll || !names_.empty();
  return !answers_.empty() || !subscribe_.empty() || !unsubscribe_.empty();
}

void DeltaSubscription::addFirst(Request& request) {
  requested_ = true;
  subscribe_ = {names_.begin(), names_.end()};
  addNames(request);
  if (!type_.isNamed) return;
  ResourceVersions held = held_();
  auto& versions = *request.mutable_initial_resource_versions();
  if (type_.scope == ResourceType::Scope::kAll) {
    for (auto& [name, version] : held) versions[name] = std::move(version);
    return;
  }
  // The server sends the others. It does not have to know which of them are gone.
  for (const std::string& name : request.resource_names_subscribe()) {
    if (const auto one = held.find(name); one != held.end()) versions[name] = one->second;
  }
}

// As many names as a request may have; the others stay for the next one.
void DeltaSubscription::addNames(Request& request) {
  std::size_t bytes = 0;
  const auto move = [&bytes](std::set<std::string>& from, auto& to) {
    while (!from.empty() && bytes < kMaxNameBytes) {
      bytes += from.begin()->size();
      *to.Add() = std::move(from.extract(from.begin()).value());
    }
  };
  move(subscribe_, *request.mutable_resource_names_subscribe());
  move(unsubscribe_, *request.mutable_resource_names_unsubscribe());
}

DeltaSubscription::Request DeltaSubscription::takeRequest() {
  Request request;
  request.set_type_url(std::string(type_.url));
  if (!requested_) {
    addFirst(request);
  } else if (!answers_.empty()) {
    Answer& answer = answers_.front();
    request.set_response_nonce(std::move(answer.nonce));
    if (answer.rejected) {
      request.mutable_error_detail()->set_code(kNackCode);
      request.mutable_error_detail()->set_message(std::move(answer.message));
    }
    answers_.pop_front();
  } else {
    addNames(request);
  }
  return request;
}

grpc::ByteBuffer DeltaSubscription::nextRequest(const Node* node) {
  Request request = takeRequest();
  if (node != nullptr) *request.mutable_node() = *node;
  const grpc::Slice bytes(request.SerializeAsString());
  return {&bytes, 1};
}

}  // namespace sockmesh
