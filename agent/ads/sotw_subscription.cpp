// SPDX-License-Identifier: Apache-2.0
#include "ads/sotw_subscription.h"

#include <array>
#include <string_view>
#include <utility>

#include "google/rpc/status.pb.h"

namespace sockmesh {
namespace {

// google.rpc.Code INTERNAL, as Envoy sends. Servers only look whether error_detail is present.
constexpr int kNackCode = 13;

std::string_view viewOf(const grpc::Slice& slice) {
  return {reinterpret_cast<const char*>(slice.begin()), slice.size()};
}

}  // namespace

void SotwSubscription::setNames(std::vector<std::string> names) {
  envoy::service::discovery::v3::DiscoveryRequest request;
  for (std::string& name : names) request.add_resource_names(std::move(name));
  const std::string bytes = request.SerializeAsString();
  if (bytes == viewOf(names_)) return;
  names_ = grpc::Slice(bytes);
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

envoy::service::discovery::v3::DiscoveryRequest SotwSubscription::takeAnswer() {
  envoy::service::discovery::v3::DiscoveryRequest request;
  request.set_type_url(std::string(type_.url));
  request.set_version_info(version_);
  request.set_response_nonce(nonce_);
  if (rejected_) {
    request.mutable_error_detail()->set_code(kNackCode);
    request.mutable_error_detail()->set_message(std::exchange(nack_, {}));
  }
  rejected_ = false;
  requested_ = true;
  due_ = false;
  return request;
}

envoy::service::discovery::v3::DiscoveryRequest SotwSubscription::takeRequest() {
  auto request = takeAnswer();
  request.MergeFromString(std::string(viewOf(names_)));
  return request;
}

// Serialized messages that follow each other are one message with the fields of both. The bytes of
// the names are shared and not copied.
grpc::ByteBuffer SotwSubscription::nextRequest(const Node* node) {
  auto answer = takeAnswer();
  if (node != nullptr) *answer.mutable_node() = *node;
  const std::array slices = {grpc::Slice(answer.SerializeAsString()), names_};
  return {slices.data(), slices.size()};
}

}  // namespace sockmesh
