// SPDX-License-Identifier: Apache-2.0
// An ADS server that does what a test tells it, on loopback.
#pragma once

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "envoy/service/discovery/v3/discovery.grpc.pb.h"
#include "support/mailbox.h"

namespace sockmesh::testing {

using Request = envoy::service::discovery::v3::DiscoveryRequest;
using Response = envoy::service::discovery::v3::DiscoveryResponse;
using DeltaRequest = envoy::service::discovery::v3::DeltaDiscoveryRequest;
using DeltaResponse = envoy::service::discovery::v3::DeltaDiscoveryResponse;

// One stream that a client opened.
template <typename In, typename Out>
class ScriptedStream final : public grpc::ServerBidiReactor<In, Out> {
 public:
  explicit ScriptedStream(const grpc::CallbackServerContext& context);
  // Lives until gRPC has ended it.
  static std::shared_ptr<ScriptedStream> begin(const grpc::CallbackServerContext& context) {
    auto stream = std::make_shared<ScriptedStream>(context);
    stream->self_ = stream;
    stream->StartRead(&stream->incoming_);
    return stream;
  }

  // The next request; an empty one, and a failed test, when none comes.
  In request() {
    auto request = requests_.take();
    EXPECT_TRUE(request.has_value()) << "no request came";
    return request.value_or(In());
  }
  // Whether no request comes for `quiet`.
  bool silent(std::chrono::milliseconds quiet) { return !requests_.take(quiet).has_value(); }
  // Sends and waits until it is written; at most one at a time.
  void send(const Out& response) {
    beginSend(response);
    EXPECT_TRUE(written_.take().value_or(false));
  }
  // Begins to send; sent() waits for the end of it.
  void beginSend(const Out& response) {
    outgoing_ = response;
    this->StartWrite(&outgoing_);
  }
  // Whether what was begun is written within `time`.
  bool sent(std::chrono::milliseconds time) { return written_.take(time).value_or(false); }
  // Reads requests only while `on`; one may be on its way. Reads at first.
  void readRequests(bool on) {
    const std::lock_guard lock(mutex_);
    reading_ = on;
    if (on && !std::exchange(readBegun_, true)) this->StartRead(&incoming_);
  }
  // Ends the stream.
  void finish(grpc::Status status) {
    if (!finished_.exchange(true)) this->Finish(std::move(status));
  }
  // Waits until gRPC has ended it, whoever began.
  bool ended() { return done_.take().has_value(); }

  // A header of the call; "" where there is none.
  std::string header(const std::string& key) const {
    const auto found = headers_.find(key);
    return found == headers_.end() ? "" : found->second;
  }
  // The name that the call is addressed to.
  const std::string& authority() const { return authority_; }
  // The common name in the client's certificate; "" where there is none.
  const std::string& clientName() const { return clientName_; }

 private:
  void OnReadDone(bool ok) override {
    if (!ok) return finish(grpc::Status::OK);
    requests_.put(std::move(incoming_));
    const std::lock_guard lock(mutex_);
    readBegun_ = reading_;
    if (readBegun_) this->StartRead(&incoming_);
  }
  void OnWriteDone(bool ok) override { written_.put(ok); }
  void OnDone() override {
    const auto self = std::move(self_);
    done_.put(true);
  }

  std::shared_ptr<ScriptedStream> self_;
  std::multimap<std::string, std::string> headers_;
  std::string authority_;
  std::string clientName_;
  In incoming_;
  Out outgoing_;
  std::atomic<bool> finished_{false};
  std::mutex mutex_;  // guards what follows
  bool reading_ = true;
  bool readBegun_ = true;
  Mailbox<In> requests_;
  Mailbox<bool> written_;
  Mailbox<bool> done_;
};

class ScriptedAdsServer final
    : public envoy::service::discovery::v3::AggregatedDiscoveryService::CallbackService {
 public:
  using Stream = ScriptedStream<Request, Response>;
  using DeltaStream = ScriptedStream<DeltaRequest, DeltaResponse>;

  // Port 0 picks a free one.
  explicit ScriptedAdsServer(int port = 0,
                             const std::shared_ptr<grpc::ServerCredentials>& credentials =
                                 grpc::InsecureServerCredentials());
  ~ScriptedAdsServer() override { stop(); }
  void stop();

  int port() const { return port_; }
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  // Answers delta with UNIMPLEMENTED while off. Off at first.
  void speakDelta(bool on) { speaksDelta_ = on; }
  // The next stream that a client opens; null when none comes.
  std::shared_ptr<Stream> stream() { return streams_.take().value_or(nullptr); }
  std::shared_ptr<DeltaStream> deltaStream() { return deltaStreams_.take().value_or(nullptr); }

 private:
  grpc::ServerBidiReactor<Request, Response>* StreamAggregatedResources(
      grpc::CallbackServerContext* context) override;
  grpc::ServerBidiReactor<DeltaRequest, DeltaResponse>* DeltaAggregatedResources(
      grpc::CallbackServerContext* context) override;

  std::atomic<bool> speaksDelta_{false};
  Mailbox<std::shared_ptr<Stream>> streams_;
  Mailbox<std::shared_ptr<DeltaStream>> deltaStreams_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

template <typename In, typename Out>
ScriptedStream<In, Out>::ScriptedStream(const grpc::CallbackServerContext& context) {
  const auto text = [](const grpc::string_ref& ref) { return std::string(ref.data(), ref.size()); };
  for (const auto& [key, value] : context.client_metadata()) {
    headers_.emplace(text(key), text(value));
  }
  authority_ = text(context.ExperimentalGetAuthority());
  const auto names = context.auth_context()->FindPropertyValues("x509_common_name");
  if (!names.empty()) clientName_ = text(names[0]);
}

}  // namespace sockmesh::testing
