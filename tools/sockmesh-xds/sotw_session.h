// SPDX-License-Identifier: Apache-2.0
// A conversation in the state-of-the-world protocol.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "ads_session.h"

namespace sockmesh {

class SotwSession final : public AdsSession {
 public:
  using Request = envoy::service::discovery::v3::DiscoveryRequest;
  using Response = envoy::service::discovery::v3::DiscoveryResponse;

  struct Hooks {
    std::function<void(Response)> send;
    Log log;
  };

  SotwSession(EventLoop& loop, std::shared_ptr<const ResourceSet> resources, Hooks hooks,
              Nanos stepTimeout = kStepTimeout)
      : AdsSession(loop, std::move(resources), std::move(hooks.log), stepTimeout),
        send_(std::move(hooks.send)) {}

  void onRequest(const Request& request);

 private:
  void sendChanges(const std::string& typeUrl, TypeState& state, bool keepRemoved) override;
  // Returns whether the subscription has changed.
  bool updateSubscription(const Request& request, TypeState& state) const;
  void answerSubscription(const std::string& typeUrl, TypeState& state, bool first);
  void send(const std::string& typeUrl, TypeState& state, const ResourcesByName& resources);

  std::function<void(Response)> send_;
};

}  // namespace sockmesh
