// SPDX-License-Identifier: Apache-2.0
#include "xds/sotw_subscription.h"

#include <utility>

#include "google/rpc/status.pb.h"

namespace sockmesh {
namespace {

// google.rpc.Code INTERNAL, as Envoy sends. Servers only look whether error_detail is present.
constexpr int kNackCode = 13;

}  // namespace

void SotwSubscription::setNames(std::vector<std::string> names) {
  if (names == names_) return;
  names_ = std::move(names);
  // An empty first request might be read as a wildcard. After a name was sent, an empty request
  // unsubscribes.
  due_ = requested_ || !nothingToAskFor();
}

void SotwSubscription::onStreamUp() {
  nonce_.clear();
  nack_.clear();
  rejected_ = false;
  requested_ = false;
  due_ = !nothingToAskFor();
}

void SotwSubscription::answer(const Update& update, const ApplyResult& result) {
  if (result.ok()) {
    accept(update.version, update.nonce);
  } else {
    reject(update.nonce, result.message());
  }
}

// A part of the version that is held is gone, so the server is asked as if no version were held.
void SotwSubscription::forget(const std::string& /*name*/) {
  version_.clear();
}

void SotwSubscription::accept(const std::string& version, const std::string& nonce) {
  version_ = version;
  nonce_ = nonce;
  nack_.clear();
  rejected_ = false;
  due_ = true;
}

void SotwSubscription::reject(const std::string& nonce, const std::string& message) {
  nonce_ = nonce;
  nack_ = message;
  rejected_ = true;
  due_ = true;
}

envoy::service::discovery::v3::DiscoveryRequest SotwSubscription::takeRequest() {
  envoy::service::discovery::v3::DiscoveryRequest request;
  request.set_type_url(std::string(type_.url));
  request.set_version_info(version_);
  request.set_response_nonce(nonce_);
  for (const std::string& name : names_) request.add_resource_names(name);
  if (rejected_) {
    request.mutable_error_detail()->set_code(kNackCode);
    request.mutable_error_detail()->set_message(std::exchange(nack_, {}));
  }
  rejected_ = false;
  requested_ = true;
  due_ = false;
  return request;
}

std::unique_ptr<google::protobuf::Message> SotwSubscription::nextRequest(const Node* node) {
  auto request = std::make_unique<envoy::service::discovery::v3::DiscoveryRequest>(takeRequest());
  if (node != nullptr) *request->mutable_node() = *node;
  return request;
}

}  // namespace sockmesh
