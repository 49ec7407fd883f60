// SPDX-License-Identifier: Apache-2.0
#include "scripted_ads_server.h"

#include <gtest/gtest.h>

#include <utility>

namespace sockmesh::testing {

Request ScriptedAdsServer::Stream::request() {
  auto request = requests_.take();
  EXPECT_TRUE(request.has_value()) << "no request came";
  return request.value_or(Request());
}

void ScriptedAdsServer::Stream::beginSend(const Response& response) {
  outgoing_ = response;
  StartWrite(&outgoing_);
}

void ScriptedAdsServer::Stream::send(const Response& response) {
  beginSend(response);
  EXPECT_TRUE(written_.take().value_or(false));
}

void ScriptedAdsServer::Stream::finish(grpc::Status status) {
  if (!finished_.exchange(true)) Finish(std::move(status));
}

void ScriptedAdsServer::Stream::OnReadDone(bool ok) {
  if (!ok) return finish(grpc::Status::OK);
  requests_.put(std::move(incoming_));
  const std::lock_guard lock(mutex_);
  readBegun_ = reading_;
  if (readBegun_) StartRead(&incoming_);
}

void ScriptedAdsServer::Stream::readRequests(bool on) {
  const std::lock_guard lock(mutex_);
  reading_ = on;
  if (on && !std::exchange(readBegun_, true)) StartRead(&incoming_);
}

void ScriptedAdsServer::Stream::OnDone() {
  const auto self = std::move(self_);
  done_.put(true);
}

ScriptedAdsServer::ScriptedAdsServer(int port) {
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:" + std::to_string(port), grpc::InsecureServerCredentials(),
                           &port_);
  builder.RegisterService(this);
  server_ = builder.BuildAndStart();
  EXPECT_TRUE(server_) << "cannot listen on port " << port;
}

void ScriptedAdsServer::stop() {
  if (!server_) return;
  server_->Shutdown(std::chrono::system_clock::now());
  server_.reset();
}

grpc::ServerBidiReactor<Request, Response>* ScriptedAdsServer::StreamAggregatedResources(
    grpc::CallbackServerContext*) {
  auto stream = std::make_shared<Stream>();
  stream->self_ = stream;
  stream->StartRead(&stream->incoming_);
  streams_.put(stream);
  return stream.get();
}

}  // namespace sockmesh::testing
