// One StreamAggregatedResources call. gRPC's threads stay behind it: everything it reports runs on
// the event loop's thread, everything it is told comes from there.
#pragma once

#include <grpcpp/grpcpp.h>

#include <functional>
#include <memory>

#include "base/event_loop.h"
#include "envoy/service/discovery/v3/discovery.pb.h"

namespace sockmesh {

class AdsStream {
 public:
  using Request = envoy::service::discovery::v3::DiscoveryRequest;
  using Response = envoy::service::discovery::v3::DiscoveryResponse;

  struct Events {
    std::function<void(const Response&)> onResponse;
    // The last request is on its way: the next may be sent.
    std::function<void()> onSent;
    // The last event; the stream may be destroyed in it. Never called after the destructor.
    std::function<void(const grpc::Status&)> onClosed;
  };

  // Opens the stream. `loop` outlives it.
  AdsStream(EventLoop& loop, std::shared_ptr<grpc::Channel> channel, Events events);
  // Cancels the call if it is still open and waits until gRPC has let go of it.
  ~AdsStream();
  AdsStream(const AdsStream&) = delete;
  AdsStream& operator=(const AdsStream&) = delete;

  // Sends a request, one at a time: the next one may follow after onSent(). A server that does not
  // read cannot make requests pile up here. Dropped once the stream has ended.
  void send(Request request);
  // A request is on its way out.
  bool sending() const { return sending_; }
  // Asks for the next message: one onResponse() for each call. Not reading ahead keeps a fast
  // server from filling our memory.
  void receiveNext();

 private:
  class Reactor;
  bool sending_ = false;
  std::shared_ptr<Reactor> reactor_;
};

// "UNAVAILABLE: failed to connect ...", for people.
std::string describeStatus(const grpc::Status& status);

}  // namespace sockmesh
