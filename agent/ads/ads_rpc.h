// SPDX-License-Identifier: Apache-2.0
// One streaming call of ADS as an AdsStream. It hides gRPC's threads: everything that it reports
// runs on the event loop's thread, and every call to it comes from that thread.
#pragma once

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/impl/codegen/proto_utils.h>
#include <grpcpp/support/client_callback.h>

#include <condition_variable>
#include <memory>
#include <mutex>
#include <utility>

#include "ads/ads_channel.h"
#include "ads/ads_stream.h"
#include "base/event_loop.h"

namespace sockmesh {

// Lives until gRPC reports the end, even after the AdsStream is gone. A hold keeps the call open
// for operations that start outside of reactions. The hold is given back exactly once, when no more
// operations will start.
template <typename Call>
class AdsReactor final : public grpc::ClientBidiReactor<grpc::ByteBuffer, typename Call::Response>,
                         public std::enable_shared_from_this<AdsReactor<Call>> {
 public:
  AdsReactor(EventLoop& loop, const AdsConnection& connection, AdsStream::Events events)
      : loop_(loop), stub_(connection.channel), events_(std::move(events)) {
    for (const auto& [key, value] : connection.metadata) context_.AddMetadata(key, value);
  }

  void open() {
    self_ = this->shared_from_this();
    stub_.PrepareBidiStreamingCall(&context_, Call::kMethod, {}, this);
    this->AddHold();
    this->StartCall();
  }

  void send(grpc::ByteBuffer request) {
    const std::lock_guard lock(mutex_);
    if (ended_ || writeFailed_) return;
    outgoing_ = std::move(request);
    this->StartWrite(&outgoing_);
  }

  void receiveNext() {
    const std::lock_guard lock(mutex_);
    if (!ended_) this->StartRead(&incoming_);
  }

  // No event follows. Returns when gRPC has finished the call.
  void close() {
    abandoned_ = true;
    context_.TryCancel();
    std::unique_lock lock(mutex_);
    endLocked();
    changed_.wait(lock, [this] { return done_; });
  }

  void OnReadDone(bool ok) override {
    if (!ok) return end();
    loop_.post([self = this->shared_from_this(), update = updateOf(std::exchange(incoming_, {}))] {
      if (!self->abandoned_) self->events_.onUpdate(update);
    });
  }

  void OnWriteDone(bool ok) override {
    if (!ok) return noteWriteFailed();
    loop_.post([self = this->shared_from_this()] {
      if (!self->abandoned_) self->events_.onSent();
    });
  }

  void OnDone(const grpc::Status& status) override {
    // The last reference must not end on this thread. The channel would end with it: gRPC would
    // wait for its own callback thread, and then let that thread go on in freed memory. So the post
    // happens under the lock, which keeps close(), and the AdsStream's own reference with it,
    // waiting.
    const std::lock_guard lock(mutex_);
    done_ = true;
    changed_.notify_all();
    loop_.post([self = std::move(self_), status] {
      if (!self->abandoned_) self->events_.onClosed(status);
    });
  }

 private:
  // The stream is over. gRPC tells its end only after the last message that came before it was
  // read, so reading goes on.
  void noteWriteFailed() {
    const std::lock_guard lock(mutex_);
    writeFailed_ = true;
  }

  void end() {
    const std::lock_guard lock(mutex_);
    endLocked();
  }

  void endLocked() {
    if (std::exchange(ended_, true)) return;
    this->RemoveHold();
  }

  EventLoop& loop_;
  grpc::TemplatedGenericStub<grpc::ByteBuffer, typename Call::Response> stub_;
  AdsStream::Events events_;
  grpc::ClientContext context_;
  std::shared_ptr<AdsReactor> self_;
  bool abandoned_ = false;            // the loop's thread alone
  typename Call::Response incoming_;  // gRPC's between StartRead() and OnReadDone()

  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  grpc::ByteBuffer outgoing_;  // gRPC's between StartWrite() and OnWriteDone()
  bool writeFailed_ = false;
  bool ended_ = false;
  bool done_ = false;
};

// `Call` names the method, and the message of its responses, of which there is an updateOf().
// Requests come serialized, so that what they have in common is serialized once.
template <typename Call>
class AdsRpc final : public AdsStream {
 public:
  AdsRpc(EventLoop& loop, const AdsConnection& connection, Events events) {
    events.onSent = [this, told = std::move(events.onSent)] {
      sending_ = false;
      told();
    };
    reactor_ = std::make_shared<AdsReactor<Call>>(loop, connection, std::move(events));
    reactor_->open();
  }
  ~AdsRpc() override { reactor_->close(); }

  void send(grpc::ByteBuffer request) override {
    sending_ = true;
    reactor_->send(std::move(request));
  }
  bool sending() const override { return sending_; }
  void receiveNext() override { reactor_->receiveNext(); }

 private:
  bool sending_ = false;
  std::shared_ptr<AdsReactor<Call>> reactor_;
};

}  // namespace sockmesh
