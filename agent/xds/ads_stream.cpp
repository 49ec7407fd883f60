#include "xds/ads_stream.h"

#include <grpcpp/support/client_callback.h>

#include <array>
#include <condition_variable>
#include <mutex>
#include <utility>

#include "envoy/service/discovery/v3/discovery.grpc.pb.h"

namespace sockmesh {

// Lives until gRPC reports the end, even when the AdsStream is gone. A hold keeps the call open for
// operations started outside of reactions; it is given back exactly once, when no more will be.
class AdsStream::Reactor final : public grpc::ClientBidiReactor<Request, Response>,
                                 public std::enable_shared_from_this<Reactor> {
 public:
  Reactor(EventLoop& loop, std::shared_ptr<grpc::Channel> channel, Events events)
      : loop_(loop),
        stub_(envoy::service::discovery::v3::AggregatedDiscoveryService::NewStub(channel)),
        events_(std::move(events)) {}

  void open() {
    self_ = shared_from_this();
    stub_->async()->StreamAggregatedResources(&context_, this);
    AddHold();
    StartCall();
  }

  void send(Request request) {
    const std::lock_guard lock(mutex_);
    if (ended_) return;
    outgoing_ = std::move(request);
    StartWrite(&outgoing_);
  }

  void receiveNext() {
    const std::lock_guard lock(mutex_);
    if (!ended_) StartRead(&incoming_);
  }

  // No event after this; returns when gRPC is done with the call.
  void close() {
    abandoned_ = true;
    context_.TryCancel();
    std::unique_lock lock(mutex_);
    endLocked();
    changed_.wait(lock, [this] { return done_; });
  }

  void OnReadDone(bool ok) override {
    if (!ok) return end();
    loop_.post([self = shared_from_this(), response = std::move(incoming_)] {
      if (!self->abandoned_) self->events_.onResponse(response);
    });
  }

  void OnWriteDone(bool ok) override {
    if (!ok) return end();
    loop_.post([self = shared_from_this()] {
      if (!self->abandoned_) self->events_.onSent();
    });
  }

  void OnDone(const grpc::Status& status) override {
    // The last reference must not die on this thread: with it goes the channel, and gRPC would wait
    // for its own callback thread to end, then let that thread go on in freed memory. Hence the
    // post under the lock: it keeps close(), and with it the AdsStream's own reference, waiting.
    const std::lock_guard lock(mutex_);
    done_ = true;
    changed_.notify_all();
    loop_.post([self = std::move(self_), status] {
      if (!self->abandoned_) self->events_.onClosed(status);
    });
  }

 private:
  void end() {
    const std::lock_guard lock(mutex_);
    endLocked();
  }

  void endLocked() {
    if (std::exchange(ended_, true)) return;
    RemoveHold();
  }

  EventLoop& loop_;
  std::unique_ptr<envoy::service::discovery::v3::AggregatedDiscoveryService::Stub> stub_;
  Events events_;
  grpc::ClientContext context_;
  std::shared_ptr<Reactor> self_;
  bool abandoned_ = false;  // the loop's thread alone
  Response incoming_;       // gRPC's between StartRead() and OnReadDone()

  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  Request outgoing_;  // gRPC's between StartWrite() and OnWriteDone()
  bool ended_ = false;
  bool done_ = false;
};

AdsStream::AdsStream(EventLoop& loop, std::shared_ptr<grpc::Channel> channel, Events events) {
  events.onSent = [this, told = std::move(events.onSent)] {
    sending_ = false;
    told();
  };
  reactor_ = std::make_shared<Reactor>(loop, std::move(channel), std::move(events));
  reactor_->open();
}

AdsStream::~AdsStream() {
  reactor_->close();
}

void AdsStream::send(Request request) {
  sending_ = true;
  reactor_->send(std::move(request));
}

void AdsStream::receiveNext() {
  reactor_->receiveNext();
}

std::string describeStatus(const grpc::Status& status) {
  static constexpr std::array kNames = {"OK",
                                        "CANCELLED",
                                        "UNKNOWN",
                                        "INVALID_ARGUMENT",
                                        "DEADLINE_EXCEEDED",
                                        "NOT_FOUND",
                                        "ALREADY_EXISTS",
                                        "PERMISSION_DENIED",
                                        "RESOURCE_EXHAUSTED",
                                        "FAILED_PRECONDITION",
                                        "ABORTED",
                                        "OUT_OF_RANGE",
                                        "UNIMPLEMENTED",
                                        "INTERNAL",
                                        "UNAVAILABLE",
                                        "DATA_LOSS",
                                        "UNAUTHENTICATED"};
  if (status.ok()) return "closed by the server";
  const auto code = static_cast<std::size_t>(status.error_code());
  const std::string name = code < kNames.size() ? kNames[code] : "code " + std::to_string(code);
  return status.error_message().empty() ? name : name + ": " + status.error_message();
}

}  // namespace sockmesh
