// SPDX-License-Identifier: Apache-2.0
// A protocol of ADS, which is a kind of subscription and the stream that carries its messages.
#pragma once

#include <functional>
#include <memory>
#include <string_view>

#include "ads/ads_channel.h"
#include "ads/ads_stream.h"
#include "ads/subscription.h"
#include "base/event_loop.h"

namespace sockmesh {

class AdsProtocol {
 public:
  virtual ~AdsProtocol() = default;
  virtual std::string_view name() const = 0;  // for people
  // Resources have versions of their own, and a response says what changed.
  virtual bool isDelta() const = 0;
  // `held` says what is held of the type, whenever it is asked. It outlives the subscription.
  virtual std::unique_ptr<Subscription> subscribe(const ResourceType& type,
                                                  std::function<ResourceVersions()> held) const = 0;
  // Opens a stream. It takes the requests of this protocol's subscriptions. `loop` outlives it.
  virtual std::unique_ptr<AdsStream> open(EventLoop& loop, const AdsConnection& connection,
                                          AdsStream::Events events) const = 0;
};

// Both live for ever. State of the world: StreamAggregatedResources.
const AdsProtocol& sotwProtocol();
// Delta: DeltaAggregatedResources.
const AdsProtocol& deltaProtocol();

}  // namespace sockmesh
