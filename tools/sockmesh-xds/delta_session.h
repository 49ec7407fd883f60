// SPDX-License-Identifier: Apache-2.0
// A conversation in the delta protocol.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ads_session.h"

namespace sockmesh {

class DeltaSession final : public AdsSession {
 public:
  using Request = envoy::service::discovery::v3::DeltaDiscoveryRequest;
  using Response = envoy::service::discovery::v3::DeltaDiscoveryResponse;

  struct Hooks {
    std::function<void(Response)> send;
    Log log;
  };

  DeltaSession(EventLoop& loop, std::shared_ptr<const ResourceSet> resources, Hooks hooks,
               Nanos stepTimeout = kStepTimeout)
      : AdsSession(loop, std::move(resources), std::move(hooks.log), stepTimeout),
        send_(std::move(hooks.send)) {}

  void onRequest(const Request& request);

 private:
  void sendChanges(const std::string& typeUrl, TypeState& state, bool keepRemoved) override;
  void begin(const Request& request, TypeState& state) const;
  static void updateSubscription(const Request& request, TypeState& state);
  void send(const std::string& typeUrl, TypeState& state, const ResourcesByName& changed,
            const std::vector<std::string>& removed);

  std::function<void(Response)> send_;
};

}  // namespace sockmesh
