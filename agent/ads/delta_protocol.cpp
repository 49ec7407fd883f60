// SPDX-License-Identifier: Apache-2.0
#include <utility>

#include "ads/ads_protocol.h"
#include "ads/ads_rpc.h"
#include "ads/delta_subscription.h"
#include "envoy/service/discovery/v3/discovery.pb.h"

namespace sockmesh {
namespace {

struct DeltaCall {
  using Response = envoy::service::discovery::v3::DeltaDiscoveryResponse;
  static constexpr const char* kMethod =
      "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";
};

class DeltaProtocol final : public AdsProtocol {
 public:
  std::string_view name() const override { return "delta"; }
  bool isDelta() const override { return true; }
  std::unique_ptr<Subscription> subscribe(const ResourceType& type,
                                          std::function<ResourceVersions()> held) const override {
    return std::make_unique<DeltaSubscription>(type, std::move(held));
  }
  std::unique_ptr<AdsStream> open(EventLoop& loop, const AdsConnection& connection,
                                  AdsStream::Events events) const override {
    return std::make_unique<AdsRpc<DeltaCall>>(loop, connection, std::move(events));
  }
};

}  // namespace

const AdsProtocol& deltaProtocol() {
  static const DeltaProtocol protocol;
  return protocol;
}

}  // namespace sockmesh
