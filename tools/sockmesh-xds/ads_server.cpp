// SPDX-License-Identifier: Apache-2.0
#include "ads_server.h"

#include <fmt/format.h>

#include <chrono>
#include <utility>

#include "envoy/service/discovery/v3/discovery.grpc.pb.h"

namespace sockmesh {

// Delta is not offered: the generated base class answers it with UNIMPLEMENTED.
class AdsServer::Service final
    : public envoy::service::discovery::v3::AggregatedDiscoveryService::CallbackService {
 public:
  explicit Service(AdsServer& server) : server_(server), alive_(server.alive_) {}

  grpc::ServerBidiReactor<ServerStream::Request, ServerStream::Response>* StreamAggregatedResources(
      grpc::CallbackServerContext* context) override {
    using Stream = std::shared_ptr<ServerStream>;
    ServerStream::Events events;
    events.onOpen = [this, alive = alive_](const Stream& stream) {
      if (!alive.expired()) server_.onOpen(stream);
    };
    events.onRequest = [this, alive = alive_](const Stream& stream,
                                              const ServerStream::Request& request) {
      if (!alive.expired()) server_.onRequest(stream, request);
    };
    events.onClosed = [this, alive = alive_](const Stream& stream) {
      if (!alive.expired()) server_.onClosed(stream);
    };
    return ServerStream::open(server_.loop_, context->peer(), std::move(events));
  }

 private:
  AdsServer& server_;
  std::weak_ptr<int> alive_;
};

Result<std::unique_ptr<AdsServer>> AdsServer::start(EventLoop& loop, const std::string& address,
                                                    std::shared_ptr<const ResourceSet> resources,
                                                    Log log) {
  std::unique_ptr<AdsServer> server(new AdsServer(loop, std::move(resources), std::move(log)));
  if (const Status status = server->listen(address); !status) return status.error();
  return server;
}

AdsServer::AdsServer(EventLoop& loop, std::shared_ptr<const ResourceSet> resources, Log log)
    : loop_(loop), resources_(std::move(resources)), log_(std::move(log)) {}

AdsServer::~AdsServer() {
  alive_.reset();
  for (const auto& [stream, client] : clients_) {
    stream->finish(grpc::Status(grpc::StatusCode::UNAVAILABLE, "the server is shutting down"));
  }
  if (server_) server_->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds(1));
}

Status AdsServer::listen(const std::string& address) {
  service_ = std::make_unique<Service>(*this);
  grpc::ServerBuilder builder;
  // Two servers must not share a port unnoticed.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 10'000);
  builder.SetMaxReceiveMessageSize(-1);
  builder.AddListeningPort(address, grpc::InsecureServerCredentials(), &port_);
  builder.RegisterService(service_.get());
  server_ = builder.BuildAndStart();
  if (server_ && port_ != 0) return {};
  server_.reset();
  return Error(fmt::format(
      "cannot listen on {}: the address is in use, or no address of this machine", address));
}

void AdsServer::publish(std::shared_ptr<const ResourceSet> resources) {
  resources_ = std::move(resources);
  for (const auto& [stream, client] : clients_) client.session->onResources(resources_);
}

void AdsServer::onOpen(const std::shared_ptr<ServerStream>& stream) {
  Client& client = clients_[stream];
  client.number = ++opened_;
  AdsSession::Hooks hooks;
  // Not the shared pointer: the session ends before the stream that its map entry holds.
  hooks.send = [to = stream.get()](AdsSession::Response response) {
    to->send(std::move(response));
  };
  hooks.log = [this, &client](const std::string& line, bool problem) {
    log_(fmt::format("{}: {}", describe(client), line), problem);
  };
  client.session = std::make_unique<AdsSession>(loop_, resources_, std::move(hooks));
  stream->receiveNext();
}

void AdsServer::onRequest(const std::shared_ptr<ServerStream>& stream,
                          const ServerStream::Request& request) {
  const auto found = clients_.find(stream);
  if (found == clients_.end()) return;
  Client& client = found->second;
  const bool first = !std::exchange(client.announced, true);
  if (first) {
    const std::string& node = request.node().id();
    log_(fmt::format("[{}] {}: opened from {}", client.number, node.empty() ? "?" : node,
                     stream->peer()),
         false);
  }
  client.session->onRequest(request);
  stream->receiveNext();
}

void AdsServer::onClosed(const std::shared_ptr<ServerStream>& stream) {
  const auto found = clients_.find(stream);
  if (found == clients_.end()) return;
  log_(fmt::format("{}: closed", describe(found->second)), false);
  clients_.erase(found);
}

std::string AdsServer::describe(const Client& client) const {
  return fmt::format("[{}] {}", client.number, client.session->nodeId());
}

}  // namespace sockmesh
