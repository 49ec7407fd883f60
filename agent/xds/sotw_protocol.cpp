// SPDX-License-Identifier: Apache-2.0
#include <utility>

#include "envoy/service/discovery/v3/discovery.grpc.pb.h"
#include "xds/ads_protocol.h"
#include "xds/ads_rpc.h"
#include "xds/sotw_subscription.h"

namespace sockmesh {
namespace {

struct SotwCall {
  using Service = envoy::service::discovery::v3::AggregatedDiscoveryService;
  using Request = envoy::service::discovery::v3::DiscoveryRequest;
  using Response = envoy::service::discovery::v3::DiscoveryResponse;
  static void begin(Service::Stub& stub, grpc::ClientContext& context,
                    grpc::ClientBidiReactor<Request, Response>& reactor) {
    stub.async()->StreamAggregatedResources(&context, &reactor);
  }
};

class SotwProtocol final : public AdsProtocol {
 public:
  std::string_view name() const override { return "state of the world"; }
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
