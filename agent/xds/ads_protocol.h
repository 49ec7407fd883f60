// SPDX-License-Identifier: Apache-2.0
// A protocol of ADS, which is a kind of subscription and the stream that carries its messages.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>

#include "base/event_loop.h"
#include "xds/ads_stream.h"
#include "xds/subscription.h"

namespace sockmesh {

class AdsProtocol {
 public:
  virtual ~AdsProtocol() = default;
  virtual std::unique_ptr<Subscription> subscribe(const ResourceType& type) const = 0;
  // Opens a stream. It takes the requests of this protocol's subscriptions. `loop` outlives it.
  virtual std::unique_ptr<AdsStream> open(EventLoop& loop, std::shared_ptr<grpc::Channel> channel,
                                          AdsStream::Events events) const = 0;
};

// State of the world: StreamAggregatedResources. Lives for ever.
const AdsProtocol& sotwProtocol();

}  // namespace sockmesh
