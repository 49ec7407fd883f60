// SPDX-License-Identifier: Apache-2.0
// An ADS protocol whose streams end in this process. Subscriptions are the product's.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <utility>

#include "ads/ads_protocol.h"
#include "fuzz_input.h"

namespace sockmesh::fuzz {

// The server's end of a stream. Everything here runs on the loop's thread.
class FuzzStream final : public AdsStream {
 public:
  // Told of each request, as it would be on the wire, and of the stream's end.
  class Server {
   public:
    virtual ~Server() = default;
    virtual void onStream(FuzzStream& stream, bool delta) = 0;
    virtual void onRequest(grpc::ByteBuffer request) = 0;
    // The client reads the response now that was delivered.
    virtual void onRead() = 0;
    virtual void onGone() = 0;
  };

  FuzzStream(EventLoop& loop, Events events, Server& server)
      : loop_(loop), events_(std::move(events)), server_(server) {}
  ~FuzzStream() override { server_.onGone(); }

  void send(grpc::ByteBuffer request) override {
    require(!sending_, "one request at a time is sent");
    sending_ = true;
    server_.onRequest(std::move(request));
  }
  bool sending() const override { return sending_; }
  void receiveNext() override {
    require(!wantsNext_, "one response at a time is asked for");
    wantsNext_ = true;
  }

  // What a server does. A response may be delivered while the client wants one.
  bool wantsNext() const { return wantsNext_; }
  void deliver(const Update& update) {
    wantsNext_ = false;
    post([update](FuzzStream& self) {
      self.server_.onRead();
      self.events_.onUpdate(update);
    });
  }
  void takeRequest() {
    post([](FuzzStream& self) {
      self.sending_ = false;
      self.events_.onSent();
    });
  }
  void end(const grpc::Status& status) {
    post([status](FuzzStream& self) {
      const auto told = self.events_.onClosed;  // the stream may end in it
      told(status);
    });
  }

 private:
  template <typename Task>
  void post(Task task) {
    loop_.post([this, task, alive = std::weak_ptr<int>(alive_)] {
      if (!alive.expired()) task(*this);
    });
  }

  EventLoop& loop_;
  Events events_;
  Server& server_;
  bool sending_ = false;
  bool wantsNext_ = false;
  std::shared_ptr<int> alive_ = std::make_shared<int>();
};

class FuzzProtocol final : public AdsProtocol {
 public:
  // Both outlive the protocol.
  FuzzProtocol(const AdsProtocol& real, FuzzStream::Server& server)
      : real_(real), server_(server) {}

  std::string_view name() const override { return real_.name(); }
  bool isDelta() const override { return real_.isDelta(); }
  std::unique_ptr<Subscription> subscribe(const ResourceType& type,
                                          std::function<ResourceVersions()> held) const override {
    return real_.subscribe(type, std::move(held));
  }
  std::unique_ptr<AdsStream> open(EventLoop& loop, const AdsConnection& /*connection*/,
                                  AdsStream::Events events) const override {
    auto stream = std::make_unique<FuzzStream>(loop, std::move(events), server_);
    server_.onStream(*stream, &real_ == &deltaProtocol());
    return stream;
  }

 private:
  const AdsProtocol& real_;
  FuzzStream::Server& server_;
};

}  // namespace sockmesh::fuzz
