// SPDX-License-Identifier: Apache-2.0
#include "integration/gated_control_plane.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <utility>

#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/endpoint/v3/endpoint.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy.pb.h"
#include "support/address.h"

namespace sockmesh::test {
namespace {

template <typename Resource>
std::string typeUrl() {
  return "type.googleapis.com/" + Resource::descriptor()->full_name();
}
const std::string kClusterType = typeUrl<envoy::config::cluster::v3::Cluster>();
const std::string kAssignmentType = typeUrl<envoy::config::endpoint::v3::ClusterLoadAssignment>();
const std::string kListenerType = typeUrl<envoy::config::listener::v3::Listener>();

void setAddress(const std::string& text, envoy::config::core::v3::Address& out) {
  const SocketAddress address = at(text);
  out.mutable_socket_address()->set_address(address.ip.toString());
  out.mutable_socket_address()->set_port_value(address.port);
}

}  // namespace

// One client. Everything but gRPC's reactions runs under the server's mutex.
class GatedControlPlane::Stream final : public grpc::ServerBidiReactor<Request, Response> {
 public:
  explicit Stream(GatedControlPlane& server) : server_(server) { StartRead(&incoming_); }

  // Sends what the client has not received of the present state. Under the mutex.
  void update() {
    if (finished_) return;
    for (const std::string& type : {kClusterType, kListenerType}) {
      if (!wanted_.contains(type)) continue;
      queue(type, type == kClusterType ? server_.clusters() : server_.listeners());
    }
    if (wanted_.contains(kAssignmentType)) {
      queue(kAssignmentType, server_.assignments(names_));
    }
    writeNext();
  }
  void finish() {
    if (!std::exchange(finished_, true)) Finish(grpc::Status::OK);
  }

 private:
  void OnReadDone(bool ok) override {
    const std::lock_guard lock(server_.mutex_);
    if (!ok) return finish();
    wanted_.insert(incoming_.type_url());
    if (incoming_.type_url() == kAssignmentType) {
      names_ = {incoming_.resource_names().begin(), incoming_.resource_names().end()};
    }
    update();
    StartRead(&incoming_);
  }
  void OnWriteDone(bool) override {
    const std::lock_guard lock(server_.mutex_);
    writing_ = false;
    waiting_.pop_front();
    writeNext();
  }
  void OnDone() override {
    const std::lock_guard lock(server_.mutex_);
    std::erase_if(server_.streams_, [this](const auto& one) { return one.get() == this; });
  }

  void queue(const std::string& type, Response response) {
    std::string& sent = sent_[type];
    std::string content;
    for (const auto& resource : response.resources()) content += resource.SerializeAsString();
    // The first response of a set goes out also where it is empty; of endpoints there may be none.
    if (type == kAssignmentType && response.resources().empty()) return;
    if (nonces_.contains(type) && sent == content) return;
    sent = content;
    nonces_.insert(type);
    response.set_type_url(type);
    response.set_version_info(std::to_string(server_.version_));
    response.set_nonce(std::to_string(++nonce_));
    waiting_.push_back(std::move(response));
  }
  void writeNext() {
    if (finished_ || writing_ || waiting_.empty()) return;
    writing_ = true;
    StartWrite(&waiting_.front());
  }

  GatedControlPlane& server_;
  Request incoming_;
  std::set<std::string> wanted_, names_, nonces_;
  std::map<std::string, std::string> sent_;  // content by type
  std::deque<Response> waiting_;             // the first is being written
  std::uint64_t nonce_ = 0;
  bool writing_ = false;
  bool finished_ = false;
};

GatedControlPlane::GatedControlPlane() {
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
  builder.RegisterService(this);
  server_ = builder.BuildAndStart();
  EXPECT_TRUE(server_);
}

GatedControlPlane::~GatedControlPlane() {
  {
    const std::lock_guard lock(mutex_);
    for (const auto& stream : streams_) stream->finish();
  }
  server_->Shutdown(std::chrono::system_clock::now());
}

grpc::ServerBidiReactor<GatedControlPlane::Request, GatedControlPlane::Response>*
GatedControlPlane::StreamAggregatedResources(grpc::CallbackServerContext*) {
  const std::lock_guard lock(mutex_);
  return streams_.insert(std::make_shared<Stream>(*this)).first->get();
}

void GatedControlPlane::tellAll() {
  ++version_;
  for (const auto& stream : streams_) stream->update();
}

void GatedControlPlane::serve(const std::string& vip, const std::string& cluster,
                              const std::vector<std::string>& endpoints,
                              std::chrono::milliseconds fetchTimeout) {
  const std::lock_guard lock(mutex_);
  services_[vip] = {cluster, endpoints, fetchTimeout, false};
  tellAll();
}

void GatedControlPlane::detectOutliers(std::chrono::seconds interval) {
  const std::lock_guard lock(mutex_);
  sweepInterval_ = interval;
  tellAll();
}

void GatedControlPlane::remove(const std::string& vip) {
  const std::lock_guard lock(mutex_);
  if (services_.erase(vip) > 0) tellAll();
}

void GatedControlPlane::spoilListener(const std::string& vip) {
  const std::lock_guard lock(mutex_);
  services_.at(vip).spoiled = true;
  tellAll();
}

void GatedControlPlane::withhold(std::set<std::string> clusters) {
  const std::lock_guard lock(mutex_);
  withheld_ = std::move(clusters);
  tellAll();
}

GatedControlPlane::Response GatedControlPlane::clusters() const {
  Response response;
  for (const auto& [vip, service] : services_) {
    envoy::config::cluster::v3::Cluster cluster;
    cluster.set_name(service.cluster);
    cluster.set_type(envoy::config::cluster::v3::Cluster::EDS);
    auto& config = *cluster.mutable_eds_cluster_config()->mutable_eds_config();
    config.mutable_ads();
    const auto millis = service.fetchTimeout.count();
    config.mutable_initial_fetch_timeout()->set_seconds(millis / 1000);
    cluster.mutable_connect_timeout()->set_seconds(1);
    if (sweepInterval_.count() > 0) {
      cluster.mutable_outlier_detection()->mutable_interval()->set_seconds(sweepInterval_.count());
    }
    response.add_resources()->PackFrom(cluster);
  }
  return response;
}

GatedControlPlane::Response GatedControlPlane::listeners() const {
  Response response;
  for (const auto& [vip, service] : services_) {
    envoy::config::listener::v3::Listener listener;
    listener.set_name("listener " + vip);
    setAddress(vip, *listener.mutable_address());
    auto& filter = *listener.add_filter_chains()->add_filters();
    filter.set_name("envoy.filters.network.tcp_proxy");
    envoy::extensions::filters::network::tcp_proxy::v3::TcpProxy proxy;
    proxy.set_stat_prefix("s");
    // Without a target a tcp_proxy is an error.
    if (!service.spoiled) proxy.set_cluster(service.cluster);
    filter.mutable_typed_config()->PackFrom(proxy);
    response.add_resources()->PackFrom(listener);
  }
  return response;
}

GatedControlPlane::Response GatedControlPlane::assignments(
    const std::set<std::string>& names) const {
  Response response;
  for (const auto& [vip, service] : services_) {
    if (!names.contains(service.cluster) || withheld_.contains(service.cluster)) continue;
    envoy::config::endpoint::v3::ClusterLoadAssignment assignment;
    assignment.set_cluster_name(service.cluster);
    auto& locality = *assignment.add_endpoints();
    for (const std::string& endpoint : service.endpoints) {
      setAddress(endpoint, *locality.add_lb_endpoints()->mutable_endpoint()->mutable_address());
    }
    response.add_resources()->PackFrom(assignment);
  }
  return response;
}

}  // namespace sockmesh::test
