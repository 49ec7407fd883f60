// SPDX-License-Identifier: Apache-2.0
#include "bench/ads_generator.h"

#include <atomic>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/endpoint/v3/endpoint.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy.pb.h"
#include "envoy/service/discovery/v3/discovery.grpc.pb.h"

namespace sockmesh::test {
namespace {

using envoy::config::cluster::v3::Cluster;
using envoy::config::endpoint::v3::ClusterLoadAssignment;
using envoy::config::listener::v3::Listener;
using envoy::extensions::filters::network::tcp_proxy::v3::TcpProxy;
using envoy::service::discovery::v3::DiscoveryRequest;
using envoy::service::discovery::v3::DiscoveryResponse;
using Stream = grpc::ServerReaderWriter<DiscoveryResponse, DiscoveryRequest>;

constexpr const char* kPrefix = "type.googleapis.com/";
constexpr int kServicePort = 80;
constexpr int kEndpointPort = 8080;

std::string text(std::uint8_t first, std::uint32_t number) {
  return std::to_string(first) + "." + std::to_string(number >> 16 & 255) + "." +
         std::to_string(number >> 8 & 255) + "." + std::to_string(number & 255);
}

void setAddress(envoy::config::core::v3::Address* address, const std::string& ip, int port) {
  address->mutable_socket_address()->set_address(ip);
  address->mutable_socket_address()->set_port_value(static_cast<std::uint32_t>(port));
}

Cluster clusterProto(int number, int connectTimeoutMillis) {
  Cluster cluster;
  cluster.set_name(clusterOf(number));
  cluster.set_type(Cluster::EDS);
  cluster.mutable_connect_timeout()->set_seconds(connectTimeoutMillis / 1000);
  cluster.mutable_connect_timeout()->set_nanos(connectTimeoutMillis % 1000 * 1'000'000);
  cluster.mutable_eds_cluster_config()->mutable_eds_config()->mutable_ads();
  cluster.mutable_eds_cluster_config()->set_service_name(clusterOf(number));
  cluster.mutable_outlier_detection();
  return cluster;
}

Listener listenerProto(int number) {
  Listener listener;
  listener.set_name("listener-" + std::to_string(number));
  setAddress(listener.mutable_address(), text(172, static_cast<std::uint32_t>(number)),
             kServicePort);
  auto* filter = listener.add_filter_chains()->add_filters();
  filter->set_name("envoy.filters.network.tcp_proxy");
  TcpProxy proxy;
  proxy.set_stat_prefix(clusterOf(number));
  proxy.set_cluster(clusterOf(number));
  filter->mutable_typed_config()->PackFrom(proxy);
  return listener;
}

// `version` decides the address of the first endpoint; the others never change.
ClusterLoadAssignment assignmentProto(int number, int endpoints, std::uint32_t version) {
  ClusterLoadAssignment assignment;
  assignment.set_cluster_name(clusterOf(number));
  auto* locality = assignment.add_endpoints();
  locality->mutable_locality()->set_region("region");
  locality->mutable_locality()->set_zone("zone");
  locality->mutable_load_balancing_weight()->set_value(static_cast<std::uint32_t>(endpoints));
  for (int i = 0; i < endpoints; ++i) {
    auto* endpoint = locality->add_lb_endpoints();
    const auto host = static_cast<std::uint32_t>(number * 64 + (i == 0 ? 60 + version % 4 : i));
    setAddress(endpoint->mutable_endpoint()->mutable_address(), text(10, host), kEndpointPort);
    endpoint->mutable_load_balancing_weight()->set_value(1);
  }
  return assignment;
}

// What a server does besides: names and version are the stream's.
DiscoveryResponse responseOf(const std::string& type) {
  DiscoveryResponse response;
  response.set_type_url(type);
  return response;
}

const std::string kClusters = std::string(kPrefix) + "envoy.config.cluster.v3.Cluster";
const std::string kListeners = std::string(kPrefix) + "envoy.config.listener.v3.Listener";
const std::string kAssignments =
    std::string(kPrefix) + "envoy.config.endpoint.v3.ClusterLoadAssignment";

}  // namespace

SocketAddress vipOf(int number) {
  return {
      IpAddress::v4({172, static_cast<std::uint8_t>(number >> 16),
                     static_cast<std::uint8_t>(number >> 8), static_cast<std::uint8_t>(number)}),
      kServicePort};
}

std::string clusterOf(int number) {
  return "outbound|80||service-" + std::to_string(number) + ".default.svc.cluster.local";
}

class AdsGenerator::Service final
    : public envoy::service::discovery::v3::AggregatedDiscoveryService::Service {
 public:
  explicit Service(MeshShape shape)
      : shape_(shape), versions_(static_cast<std::size_t>(shape.services)) {}

  grpc::Status StreamAggregatedResources(grpc::ServerContext* /*context*/,
                                         Stream* stream) override {
    {
      const std::lock_guard lock(mutex_);
      stream_ = stream;
      known_.clear();
    }
    DiscoveryRequest request;
    while (stream->Read(&request)) answer(request);
    const std::lock_guard lock(mutex_);
    if (stream_ == stream) stream_ = nullptr;
    return grpc::Status::OK;
  }

  void changeEndpoint(int number) {
    DiscoveryResponse response = responseOf(kAssignments);
    const std::uint32_t version = ++versions_[static_cast<std::size_t>(number)];
    response.add_resources()->PackFrom(assignmentProto(number, shape_.endpoints, version));
    const std::lock_guard lock(mutex_);
    send(response);
  }
  void changeCluster(int number, int milliseconds) {
    timeouts_[number] = milliseconds;
    const std::lock_guard lock(mutex_);
    sendClusters();
  }
  std::uint64_t sentBytes() const { return sentBytes_; }

 private:
  // An answer to a subscription; ACKs (a nonce and nothing new) get none.
  void answer(const DiscoveryRequest& request) {
    const std::lock_guard lock(mutex_);
    if (request.type_url() == kAssignments) return answerAssignments(request);
    if (!request.response_nonce().empty()) return;
    if (request.type_url() == kClusters) return sendClusters();
    if (request.type_url() != kListeners) return;
    DiscoveryResponse response = responseOf(kListeners);
    for (int i = 0; i < shape_.services; ++i) response.add_resources()->PackFrom(listenerProto(i));
    send(response);
  }

  void answerAssignments(const DiscoveryRequest& request) {
    DiscoveryResponse response = responseOf(kAssignments);
    for (const std::string& name : request.resource_names()) {
      if (!known_.emplace(name, true).second) continue;
      const int number = std::stoi(name.substr(name.find("service-") + 8));
      const std::uint32_t version = versions_[static_cast<std::size_t>(number)];
      response.add_resources()->PackFrom(assignmentProto(number, shape_.endpoints, version));
    }
    if (response.resources_size() > 0) send(response);
  }

  void sendClusters() {
    DiscoveryResponse response = responseOf(kClusters);
    for (int i = 0; i < shape_.services; ++i) {
      const auto changed = timeouts_.find(i);
      response.add_resources()->PackFrom(
          clusterProto(i, changed == timeouts_.end() ? 10'000 : changed->second));
    }
    send(response);
  }

  void send(DiscoveryResponse& response) {
    if (stream_ == nullptr) return;
    response.set_version_info(std::to_string(++nonce_));
    response.set_nonce(std::to_string(nonce_));
    sentBytes_ += response.ByteSizeLong();
    stream_->Write(response);
  }

  const MeshShape shape_;
  std::vector<std::atomic<std::uint32_t>> versions_;  // by service
  std::map<int, int> timeouts_;                       // changed ones, by service
  std::atomic<std::uint64_t> sentBytes_{0};

  std::mutex mutex_;  // guards what follows: one write at a time
  Stream* stream_ = nullptr;
  std::map<std::string, bool> known_;  // assignments that the client has asked for
  std::uint64_t nonce_ = 0;
};

AdsGenerator::AdsGenerator(MeshShape shape, const std::string& address)
    : service_(std::make_unique<Service>(shape)) {
  grpc::ServerBuilder builder;
  builder.SetMaxReceiveMessageSize(-1);
  builder.AddListeningPort(address, grpc::InsecureServerCredentials());
  builder.RegisterService(service_.get());
  server_ = builder.BuildAndStart();
}

AdsGenerator::~AdsGenerator() {
  if (server_) server_->Shutdown(std::chrono::system_clock::now());
}

void AdsGenerator::changeEndpoint(int number) {
  service_->changeEndpoint(number);
}
void AdsGenerator::changeCluster(int number, int milliseconds) {
  service_->changeCluster(number, milliseconds);
}
std::uint64_t AdsGenerator::sentBytes() const {
  return service_->sentBytes();
}

}  // namespace sockmesh::test
