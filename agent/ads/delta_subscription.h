// SPDX-License-Identifier: Apache-2.0
// The subscription of the delta protocol: each resource has a version of its own, and requests say
// what changes in the subscription.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "ads/subscription.h"
#include "envoy/service/discovery/v3/discovery.pb.h"

namespace sockmesh {

class DeltaSubscription final : public Subscription {
 public:
  using Request = envoy::service::discovery::v3::DeltaDiscoveryRequest;

  // Bytes of names in one request. Servers limit the size of a request: istiod takes 4 MiB.
  static constexpr std::size_t kMaxNameBytes = std::size_t{1} << 20U;
  // Answers that wait for a server that does not read. If there are more, the oldest is dropped.
  static constexpr std::size_t kMaxAnswers = 256;

  DeltaSubscription(const ResourceType& type, std::function<ResourceVersions()> held)
      : type_(type), held_(std::move(held)) {}

  const ResourceType& type() const override { return type_; }
  void setNames(std::vector<std::string> names) override;
  void onStreamUp() override;
  bool requestedOnStream() const override { return requested_; }
  void answer(const Update& update, const ApplyResult& result) override;
  void forget(const std::string& name) override;
  bool requestDue() const override;
  grpc::ByteBuffer nextRequest(const Node* node) override;

  // As nextRequest(). Carries no node. A stream's first request has names and the versions of what
  // is held. Each later one either answers one response or changes the subscription, never both:
  // some servers take an answer that changes the subscription for an error.
  Request takeRequest();

 private:
  struct Answer {
    std::string nonce;
    bool rejected = false;
    std::string message;  // where it is rejected
  };
  void addFirst(Request& request);
  void addNames(Request& request);

  const ResourceType& type_;
  std::function<ResourceVersions()> held_;
  std::vector<std::string> names_;  // wanted, sorted
  // What this stream's server was not told yet. A name that was wanted no more and is wanted again
  // is in subscribe_ although the server knows it: what it sent was forgotten here.
  std::set<std::string> subscribe_;
  std::set<std::string> unsubscribe_;
  std::deque<Answer> answers_;  // of this stream, the oldest first
  bool requested_ = false;
};

}  // namespace sockmesh
