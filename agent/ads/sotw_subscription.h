// SPDX-License-Identifier: Apache-2.0
// The subscription of the state-of-the-world protocol: one version for each type, and full lists of
// names in each request. The names are kept as the bytes of a request, so an answer costs the same
// however many they are.
#pragma once

#include <grpcpp/support/slice.h>

#include <string>
#include <vector>

#include "ads/subscription.h"
#include "envoy/service/discovery/v3/discovery.pb.h"

namespace sockmesh {

class SotwSubscription final : public Subscription {
 public:
  explicit SotwSubscription(const ResourceType& type) : type_(type) {}

  const ResourceType& type() const override { return type_; }
  void setNames(std::vector<std::string> names) override;
  void onStreamUp() override;
  bool requestedOnStream() const override { return requested_; }
  void answer(const Update& update, const ApplyResult& result) override;
  void forget(const std::string& name) override;
  bool requestDue() const override { return due_; }
  grpc::ByteBuffer nextRequest(const Node* node) override;

  // As answer(), of a response that was taken or refused.
  void accept(const std::string& version, const std::string& nonce);
  void reject(const std::string& nonce, const std::string& message);
  // As nextRequest(), as a message. Carries no node.
  envoy::service::discovery::v3::DiscoveryRequest takeRequest();

 private:
  // All of the request that is due except its names.
  envoy::service::discovery::v3::DiscoveryRequest takeAnswer();
  // By name, the subscription is silent until there is a name; a wildcard never names anything.
  bool nothingToAskFor() const {
    return type_.scope == ResourceType::Scope::kByName && names_.size() == 0;
  }

  const ResourceType& type_;
  grpc::Slice names_;    // a serialized request that has them and nothing else
  std::string version_;  // of the last accepted response, over streams
  std::string nonce_;    // of the last response on this stream
  std::string nack_;     // message of a NACK that has yet to be sent
  bool rejected_ = false;
  bool requested_ = false;
  bool due_ = false;
};

}  // namespace sockmesh
