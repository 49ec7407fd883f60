// SPDX-License-Identifier: Apache-2.0
#include "xds/ads_channel.h"

namespace sockmesh {
namespace {

// istiod answers pings that come faster than every 15 s with GOAWAY.
constexpr int kKeepaliveMillis = 30'000;
constexpr int kKeepaliveTimeoutMillis = 10'000;
// How long one attempt to connect may take.
constexpr int kConnectTimeoutMillis = 10'000;

}  // namespace

std::shared_ptr<grpc::Channel> makeAdsChannel(const AdsChannelOptions& options) {
  grpc::ChannelArguments arguments;
  // A state-of-the-world CDS response grows with the mesh; gRPC would refuse it beyond 4 MiB.
  arguments.SetMaxReceiveMessageSize(-1);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMillis);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMillis);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kConnectTimeoutMillis);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  // As in Envoy: a proxy in the environment is for web traffic, not for the control plane.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  return grpc::CreateCustomChannel(options.target, grpc::InsecureChannelCredentials(), arguments);
}

}  // namespace sockmesh
