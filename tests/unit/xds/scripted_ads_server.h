// SPDX-License-Identifier: Apache-2.0
// An ADS server that does what a test tells it, on loopback.
#pragma once

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <string>

#include "envoy/service/discovery/v3/discovery.grpc.pb.h"
#include "support/mailbox.h"

namespace sockmesh::testing {

using Request = envoy::service::discovery::v3::DiscoveryRequest;
using Response = envoy::service::discovery::v3::DiscoveryResponse;

class ScriptedAdsServer final
    : public envoy::service::discovery::v3::AggregatedDiscoveryService::CallbackService {
 public:
  // One stream that a client opened.
  class Stream final : public grpc::ServerBidiReactor<Request, Response> {
   public:
    // The next request; an empty one, and a failed test, when none comes.
    Request request();
    // Whether no request comes for `quiet`.
    bool silent(std::chrono::milliseconds quiet) { return !requests_.take(quiet).has_value(); }
    // Sends and waits until it is written; at most one at a time.
    void send(const Response& response);
    // Begins to send; sent() waits for the end of it.
    void beginSend(const Response& response);
    // Whether what was begun is written within `time`.
    bool sent(std::chrono::milliseconds time) { return written_.take(time).value_or(false); }
    // Reads requests only while `on`; one may be on its way. Reads at first.
    void readRequests(bool on);
    // Ends the stream.
    void finish(grpc::Status status);
    // Waits until gRPC has ended the stream, whichever side began.
    bool ended() { return done_.take().has_value(); }

   private:
    friend class ScriptedAdsServer;
    void OnReadDone(bool ok) override;
    void OnWriteDone(bool ok) override { written_.put(ok); }
    void OnDone() override;

    std::shared_ptr<Stream> self_;
    Request incoming_;
    Response outgoing_;
    std::atomic<bool> finished_{false};
    std::mutex mutex_;  // guards what follows
    bool reading_ = true;
    bool readBegun_ = true;
    Mailbox<Request> requests_;
    Mailbox<bool> written_;
    Mailbox<bool> done_;
  };

  // Port 0 picks a free one.
  explicit ScriptedAdsServer(int port = 0);
  ~ScriptedAdsServer() override { stop(); }
  void stop();

  int port() const { return port_; }
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  // The next stream that a client opens; null when none comes.
  std::shared_ptr<Stream> stream() { return streams_.take().value_or(nullptr); }

 private:
  grpc::ServerBidiReactor<Request, Response>* StreamAggregatedResources(
      grpc::CallbackServerContext* context) override;

  Mailbox<std::shared_ptr<Stream>> streams_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace sockmesh::testing
