// SPDX-License-Identifier: Apache-2.0
#include "scripted_ads_server.h"

namespace sockmesh::testing {

ScriptedAdsServer::ScriptedAdsServer(int port,
                                     const std::shared_ptr<grpc::ServerCredentials>& credentials) {
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:" + std::to_string(port), credentials, &port_);
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
    grpc::CallbackServerContext* context) {
  auto stream = Stream::begin(*context);
  streams_.put(stream);
  return stream.get();
}

grpc::ServerBidiReactor<DeltaRequest, DeltaResponse>* ScriptedAdsServer::DeltaAggregatedResources(
    grpc::CallbackServerContext* context) {
  if (!speaksDelta_) return nullptr;  // gRPC then says UNIMPLEMENTED
  auto stream = DeltaStream::begin(*context);
  deltaStreams_.put(stream);
  return stream.get();
}

}  // namespace sockmesh::testing
