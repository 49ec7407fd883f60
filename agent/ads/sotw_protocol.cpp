// SPDX-License-Identifier: Apache-2.0
#include <utility>

#include "ads/ads_protocol.h"
#include "ads/ads_rpc.h"
#include "ads/sotw_subscription.h"
#include "envoy/service/discovery/v3/discovery.pb.h"

namespace sockmesh {
namespace {

struct SotwCall {
  using Response = envoy::service::discovery::v3::DiscoveryResponse;
  static constexpr const char* kMethod =
      "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources";
};

class SotwProtocol final : public AdsProtocol {
 public:
  std::string_view name() const override { return "state of the world"; }
  bool isDelta() const override { return false; }
  std::unique_ptr<Subscription> subscribe(
      const ResourceType& type, std::function<ResourceVersions()> /*held*/) const override {
    return std::make_unique<SotwSubscription>(type);
  }
  std::unique_ptr<AdsStream> open(EventLoop& loop, const AdsConnection& connection,
                                  AdsStream::Events events) const override {
    return std::make_unique<AdsRpc<SotwCall>>(loop, connection, std::move(events));
  }
};

}  // namespace

const AdsProtocol& sotwProtocol() {
  static const SotwProtocol protocol;
  return protocol;
}

}  // namespace sockmesh
