// SPDX-License-Identifier: Apache-2.0
// The server's end of one ADS call. It hides gRPC's threads: events run on the loop's thread, and
// calls come from that thread.
#pragma once

#include <grpcpp/grpcpp.h>

#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "base/event_loop.h"

namespace sockmesh {

template <typename Request, typename Response>
class ServerStream final : public grpc::ServerBidiReactor<Request, Response>,
                           public std::enable_shared_from_this<ServerStream<Request, Response>> {
 public:
  struct Events {
    std::function<void(const std::shared_ptr<ServerStream>&)> onOpen;
    std::function<void(const std::shared_ptr<ServerStream>&, const Request&)> onRequest;
    std::function<void(const std::shared_ptr<ServerStream>&)> onClosed;  // the last one
  };

  // Lives until gRPC reports the end. `loop` outlives it; `events` are called on its thread.
  static ServerStream* open(EventLoop& loop, std::string peer, Events events) {
    std::shared_ptr<ServerStream> stream(
        new ServerStream(loop, std::move(peer), std::move(events)));
    stream->self_ = stream;
    loop.post([stream] { stream->events_.onOpen(stream); });
    return stream.get();
  }

  const std::string& peer() const { return peer_; }
  // Queues a message; sent in order. Dropped once the stream has ended.
  void send(Response response) {
    const std::lock_guard lock(mutex_);
    if (finishing_) return;
    outgoing_.push_back(std::move(response));
    if (outgoing_.size() == 1) this->StartWrite(&outgoing_.front());
  }
  // Asks for the next request: one onRequest() for each call.
  void receiveNext() {
    const std::lock_guard lock(mutex_);
    if (!finishing_) this->StartRead(&incoming_);
  }
  // Ends the call after the message that is being written.
  void finish(grpc::Status status) {
    const std::lock_guard lock(mutex_);
    finishLocked(std::move(status));
  }

  void OnReadDone(bool ok) override {
    if (!ok) return finish(grpc::Status::OK);
    loop_.post([self = this->shared_from_this(), request = std::move(incoming_)] {
      self->events_.onRequest(self, request);
    });
  }
  void OnWriteDone(bool ok) override {
    const std::lock_guard lock(mutex_);
    outgoing_.pop_front();
    if (!ok) outgoing_.clear();
    if (finishing_) {
      outgoing_.clear();
      this->Finish(finalStatus_);
    } else if (!ok) {
      finishLocked(grpc::Status::CANCELLED);
    } else if (!outgoing_.empty()) {
      this->StartWrite(&outgoing_.front());
    }
  }
  void OnDone() override {
    const auto self = std::move(self_);
    loop_.post([self] { self->events_.onClosed(self); });
  }

 private:
  ServerStream(EventLoop& loop, std::string peer, Events events)
      : loop_(loop), peer_(std::move(peer)), events_(std::move(events)) {}
  void finishLocked(grpc::Status status) {
    if (std::exchange(finishing_, true)) return;
    finalStatus_ = std::move(status);
    if (outgoing_.empty()) this->Finish(finalStatus_);
  }

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
