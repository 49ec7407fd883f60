// SPDX-License-Identifier: Apache-2.0
#include "bench/ads_generator.h"

#include <atomic>
#include <mutex>
#include <unordered_set>
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
using envoy::service::discovery::v3::DeltaDiscoveryRequest;
using envoy::service::discovery::v3::DeltaDiscoveryResponse;
using envoy::service::discovery::v3::DiscoveryRequest;
using envoy::service::discovery::v3::DiscoveryResponse;
using SotwStream = grpc::ServerReaderWriter<DiscoveryResponse, DiscoveryRequest>;
using DeltaStream = grpc::ServerReaderWriter<DeltaDiscoveryResponse, DeltaDiscoveryRequest>;

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

std::string listenerOf(int number) {
  return "listener-" + std::to_string(number);
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
  listener.set_name(listenerOf(number));
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

google::protobuf::Any packed(const google::protobuf::Message& resource) {
  google::protobuf::Any any;
  any.PackFrom(resource);
  return any;
}

// Resources of one type.
class Batch {
 public:
  explicit Batch(std::string type) : type_(std::move(type)) {}

  void add(const std::string& name, const google::protobuf::Any& resource) {
    resources_.emplace_back(name, resource);
  }
  bool empty() const { return resources_.empty(); }

  // The bytes that were sent.
  std::size_t write(SotwStream& stream, std::uint64_t nonce) {
    DiscoveryResponse response;
    response.set_type_url(type_);
    response.set_version_info(std::to_string(nonce));
    response.set_nonce(std::to_string(nonce));
    for (auto& [name, body] : resources_) *response.add_resources() = std::move(body);
    stream.Write(response);
    return response.ByteSizeLong();
  }
  std::size_t write(DeltaStream& stream, std::uint64_t nonce) {
    DeltaDiscoveryResponse response;
    response.set_type_url(type_);
    response.set_nonce(std::to_string(nonce));
    for (auto& [name, body] : resources_) {
      auto* resource = response.add_resources();
      resource->set_name(name);
      resource->set_version(std::to_string(nonce));
      *resource->mutable_resource() = std::move(body);
    }
    stream.Write(response);
    return response.ByteSizeLong();
  }

 private:
  std::string type_;
  std::vector<std::pair<std::string, google::protobuf::Any>> resources_;
};

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
  // Makes all resources once, so that answers cost the measured agent's CPUs little.
  explicit Service(MeshShape shape) : shape_(shape) {
    for (int i = 0; i < shape.services; ++i) {
      clusters_.push_back(packed(clusterProto(i, 10'000)));
      assignments_.push_back(packed(assignmentProto(i, shape.endpoints, 0)));
      listeners_.push_back(packed(listenerProto(i)));
    }
    versions_.resize(clusters_.size());
  }

  grpc::Status StreamAggregatedResources(grpc::ServerContext* /*context*/,
                                         SotwStream* stream) override {
    begin(stream, nullptr);
    DiscoveryRequest request;
    while (stream->Read(&request)) {
      answer(request.type_url(), request.response_nonce().empty(), request.resource_names());
    }
    begin(nullptr, nullptr);
    return grpc::Status::OK;
  }
  grpc::Status DeltaAggregatedResources(grpc::ServerContext* /*context*/,
                                        DeltaStream* stream) override {
    begin(nullptr, stream);
    DeltaDiscoveryRequest request;
    while (stream->Read(&request)) {
      answer(request.type_url(), request.response_nonce().empty(),
             request.resource_names_subscribe());
    }
    begin(nullptr, nullptr);
    return grpc::Status::OK;
  }

  void changeEndpoint(int number) {
    const auto index = static_cast<std::size_t>(number);
    const std::lock_guard lock(mutex_);
    assignments_[index] = packed(assignmentProto(number, shape_.endpoints, ++versions_[index]));
    Batch batch(kAssignments);
    batch.add(clusterOf(number), assignments_[index]);
    send(batch);
  }
  void changeCluster(int number, int milliseconds) {
    const std::lock_guard lock(mutex_);
    const auto index = static_cast<std::size_t>(number);
    clusters_[index] = packed(clusterProto(number, milliseconds));
    if (sotw_ != nullptr) return sendClusters();
    Batch batch(kClusters);
    batch.add(clusterOf(number), clusters_[index]);
    send(batch);
  }
  std::uint64_t sentBytes() const { return sentBytes_; }

 private:
  // One of the two at most is a stream.
  void begin(SotwStream* sotw, DeltaStream* delta) {
    const std::lock_guard lock(mutex_);
    sotw_ = sotw;
    delta_ = delta;
    known_.clear();
  }

  // An answer to a subscription; ACKs (a nonce and nothing new) get none.
  void answer(const std::string& type, bool first,
              const google::protobuf::RepeatedPtrField<std::string>& names) {
    const std::lock_guard lock(mutex_);
    if (type == kAssignments) return answerAssignments(names);
    if (!first) return;
    if (type == kClusters) return sendClusters();
    if (type != kListeners) return;
    Batch batch(kListeners);
    for (int i = 0; i < shape_.services; ++i) {
      batch.add(listenerOf(i), listeners_[static_cast<std::size_t>(i)]);
    }
    send(batch);
  }

  void answerAssignments(const google::protobuf::RepeatedPtrField<std::string>& names) {
    Batch batch(kAssignments);
    for (const std::string& name : names) {
      if (!known_.insert(name).second) continue;
      const int number = std::stoi(name.substr(name.find("service-") + 8));
      batch.add(name, assignments_[static_cast<std::size_t>(number)]);
    }
    if (!batch.empty()) send(batch);
  }

  void sendClusters() {
    Batch batch(kClusters);
    for (int i = 0; i < shape_.services; ++i) {
      batch.add(clusterOf(i), clusters_[static_cast<std::size_t>(i)]);
    }
    send(batch);
  }

  void send(Batch& batch) {
    ++nonce_;
    if (sotw_ != nullptr) sentBytes_ += batch.write(*sotw_, nonce_);
    if (delta_ != nullptr) sentBytes_ += batch.write(*delta_, nonce_);
  }

  const MeshShape shape_;
  std::atomic<std::uint64_t> sentBytes_{0};

  std::mutex mutex_;  // guards what follows: one write at a time
  SotwStream* sotw_ = nullptr;
  DeltaStream* delta_ = nullptr;
  // By service, as they are now.
  std::vector<google::protobuf::Any> clusters_;
  std::vector<google::protobuf::Any> assignments_;
  std::vector<google::protobuf::Any> listeners_;
  std::vector<std::uint32_t> versions_;    // of assignments
  std::unordered_set<std::string> known_;  // assignments that the client has asked for
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
