// SPDX-License-Identifier: Apache-2.0
// A control plane in the test's own process that answers at once, except for the endpoints that a
// test holds back. Services are one listener, one cluster and its endpoints each.
#pragma once

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "envoy/service/discovery/v3/discovery.grpc.pb.h"

namespace sockmesh::test {

class GatedControlPlane final
    : public envoy::service::discovery::v3::AggregatedDiscoveryService::CallbackService {
 public:
  GatedControlPlane();
  ~GatedControlPlane() override;

  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }

  // Adds or changes the service at `vip`; all who listen are told. Any thread.
  void serve(const std::string& vip, const std::string& cluster,
             const std::vector<std::string>& endpoints,
             std::chrono::milliseconds fetchTimeout = std::chrono::minutes(10));
  void remove(const std::string& vip);
  // From now on all clusters have outlier_detection with this interval, in whole seconds.
  void detectOutliers(std::chrono::seconds interval);
  // The listener at `vip` becomes one that no agent can accept.
  void spoilListener(const std::string& vip);
  // From now on the endpoints of these clusters are not sent. All other endpoints are.
  void withhold(std::set<std::string> clusters);

 private:
  using Request = envoy::service::discovery::v3::DiscoveryRequest;
  using Response = envoy::service::discovery::v3::DiscoveryResponse;
  class Stream;
  struct Service {
    std::string cluster;
    std::vector<std::string> endpoints;
    std::chrono::milliseconds fetchTimeout{0};
    bool spoiled = false;
  };

  grpc::ServerBidiReactor<Request, Response>* StreamAggregatedResources(
      grpc::CallbackServerContext* context) override;
  Response clusters() const;
  Response listeners() const;
  Response assignments(const std::set<std::string>& names) const;
  void tellAll();

  mutable std::mutex mutex_;  // guards all below
  std::map<std::string, Service> services_;
  std::set<std::string> withheld_;
  std::chrono::seconds sweepInterval_{0};  // 0: no detection
  std::uint64_t version_ = 1;
  std::set<std::shared_ptr<Stream>> streams_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace sockmesh::test
