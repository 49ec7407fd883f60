// SPDX-License-Identifier: Apache-2.0
// The server's end of one StreamAggregatedResources call. It hides gRPC's threads: events run on
// the loop's thread, and calls come from that thread.
#pragma once

#include <grpcpp/grpcpp.h>

#include <deque>
#include <functional>
#include <memory>
#include <mutex>

#include "base/event_loop.h"
#include "envoy/service/discovery/v3/discovery.pb.h"

namespace sockmesh {

class ServerStream final
    : public grpc::ServerBidiReactor<envoy::service::discovery::v3::DiscoveryRequest,
                                     envoy::service::discovery::v3::DiscoveryResponse>,
      public std::enable_shared_from_this<ServerStream> {
 public:
  using Request = envoy::service::discovery::v3::DiscoveryRequest;
  using Response = envoy::service::discovery::v3::DiscoveryResponse;

  struct Events {
    std::function<void(const std::shared_ptr<ServerStream>&)> onOpen;
    std::function<void(const std::shared_ptr<ServerStream>&, const Request&)> onRequest;
    std::function<void(const std::shared_ptr<ServerStream>&)> onClosed;  // the last one
  };

  // Lives until gRPC reports the end. `loop` outlives it; `events` are called on its thread.
  static ServerStream* open(EventLoop& loop, std::string peer, Events events);

  const std::string& peer() const { return peer_; }
  // Queues a message; sent in order. Dropped once the stream has ended.
  void send(Response response);
  // Asks for the next request: one onRequest() for each call.
  void receiveNext();
  // Ends the call after the message that is being written.
  void finish(grpc::Status status);

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnDone() override;

 private:
  ServerStream(EventLoop& loop, std::string peer, Events events)
      : loop_(loop), peer_(std::move(peer)), events_(std::move(events)) {}
  void finishLocked(grpc::Status status);

  EventLoop& loop_;
  std::string peer_;
  Events events_;
  std::shared_ptr<ServerStream> self_;
  Request incoming_;  // gRPC's between StartRead() and OnReadDone()

  std::mutex mutex_;               // guards what follows
  std::deque<Response> outgoing_;  // the front is being written
  bool finishing_ = false;
  grpc::Status finalStatus_;
};

}  // namespace sockmesh
