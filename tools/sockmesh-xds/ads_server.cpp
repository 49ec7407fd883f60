// SPDX-License-Identifier: Apache-2.0
#include "ads_server.h"

#include <fmt/format.h>

#include <chrono>
#include <type_traits>
#include <utility>

#include "delta_session.h"
#include "envoy/service/discovery/v3/discovery.grpc.pb.h"
#include "sotw_session.h"

namespace sockmesh {

class AdsServer::Service final
    : public envoy::service::discovery::v3::AggregatedDiscoveryService::CallbackService {
 public:
  explicit Service(AdsServer& server) : server_(server), alive_(server.alive_) {}

  grpc::ServerBidiReactor<SotwSession::Request, SotwSession::Response>* StreamAggregatedResources(
      grpc::CallbackServerContext* context) override {
    return open<SotwSession>(*context);
  }
  grpc::ServerBidiReactor<DeltaSession::Request, DeltaSession::Response>* DeltaAggregatedResources(
      grpc::CallbackServerContext* context) override {
    return open<DeltaSession>(*context);
  }

 private:
  template <typename Session>
  Stream<Session>* open(const grpc::CallbackServerContext& context) {
    using StreamPtr = std::shared_ptr<Stream<Session>>;
    typename Stream<Session>::Events events;
    events.onOpen = [this, alive = alive_](const StreamPtr& stream) {
      if (!alive.expired()) server_.onOpen<Session>(stream);
    };
    events.onRequest = [this, alive = alive_](const StreamPtr& stream, const auto& request) {
      if (!alive.expired()) server_.onRequest<Session>(stream, request);
    };
    events.onClosed = [this, alive = alive_](const StreamPtr& stream) {
      if (!alive.expired()) server_.onClosed(stream);
    };
    return Stream<Session>::open(server_.loop_, context.peer(), std::move(events));
  }

  AdsServer& server_;
  std::weak_ptr<int> alive_;
};

Result<std::unique_ptr<AdsServer>> AdsServer::start(EventLoop& loop, const Listen& listen,
                                                    std::shared_ptr<const ResourceSet> resources,
                                                    Log log) {
  std::unique_ptr<AdsServer> server(new AdsServer(loop, std::move(resources), std::move(log)));
  if (const Status status = server->listen(listen); !status) return status.error();
  return server;
}

AdsServer::AdsServer(EventLoop& loop, std::shared_ptr<const ResourceSet> resources, Log log)
    : loop_(loop), resources_(std::move(resources)), log_(std::move(log)) {}

AdsServer::~AdsServer() {
  alive_.reset();
  for (const auto& [stream, client] : clients_) {
    client.finish(grpc::Status(grpc::StatusCode::UNAVAILABLE, "the server is shutting down"));
  }
  if (server_) server_->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds(1));
}

Status AdsServer::listen(const Listen& listen) {
  service_ = std::make_unique<Service>(*this);
  grpc::ServerBuilder builder;
  // Two servers must not share a port unnoticed.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 10'000);
  builder.SetMaxReceiveMessageSize(-1);
  builder.AddListeningPort(listen.address, listen.credentials, &port_);
  builder.RegisterService(service_.get());
  server_ = builder.BuildAndStart();
  if (server_ && port_ != 0) return {};
  server_.reset();
  return Error(fmt::format(
      "cannot listen on {}: the address is in use, or no address of this machine, or a certificate "
      "does not fit its key",
      listen.address));
}

void AdsServer::publish(std::shared_ptr<const ResourceSet> resources) {
  resources_ = std::move(resources);
  for (const auto& [stream, client] : clients_) client.session->onResources(resources_);
}

template <typename Session>
void AdsServer::onOpen(const std::shared_ptr<Stream<Session>>& stream) {
  Client& client = clients_[stream];
  client.number = ++opened_;
  typename Session::Hooks hooks;
  // Not the shared pointer: the session ends before the stream that its map entry holds.
  hooks.send = [to = stream.get()](auto response) { to->send(std::move(response)); };
  hooks.log = [this, &client](const std::string& line, bool problem) {
    log_(fmt::format("{}: {}", describe(client), line), problem);
  };
  client.session = std::make_unique<Session>(loop_, resources_, std::move(hooks));
  client.finish = [to = stream.get()](grpc::Status status) { to->finish(std::move(status)); };
  stream->receiveNext();
}

template <typename Session>
void AdsServer::onRequest(const std::shared_ptr<Stream<Session>>& stream,
                          const typename Session::Request& request) {
  const auto found = clients_.find(stream);
  if (found == clients_.end()) return;
  Client& client = found->second;
  const bool first = !std::exchange(client.announced, true);
  if (first) {
    const std::string& node = request.node().id();
    constexpr bool kDelta = std::is_same_v<Session, DeltaSession>;
    log_(fmt::format("[{}] {}: opened from {}{}", client.number, node.empty() ? "?" : node,
                     stream->peer(), kDelta ? ", delta" : ""),
         false);
  }
  static_cast<Session&>(*client.session).onRequest(request);
  stream->receiveNext();
}

void AdsServer::onClosed(const std::shared_ptr<void>& stream) {
  const auto found = clients_.find(stream);
  if (found == clients_.end()) return;
  log_(fmt::format("{}: closed", describe(found->second)), false);
  clients_.erase(found);
}

std::string AdsServer::describe(const Client& client) const {
  return fmt::format("[{}] {}", client.number, client.session->nodeId());
}

}  // namespace sockmesh
