// SPDX-License-Identifier: Apache-2.0
// A client on a loop with a thread of its own, as in the agent, and what a server sends to it.
#pragma once

#include <gtest/gtest.h>

#include <thread>

#include "ads/ads_client.h"
#include "decode/type_urls.h"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/endpoint/v3/endpoint.pb.h"
#include "scripted_ads_server.h"

namespace sockmesh::testing {

using envoy::config::cluster::v3::Cluster;
using envoy::config::endpoint::v3::ClusterLoadAssignment;
using std::chrono::milliseconds;

inline Cluster edsCluster(const std::string& name) {
  Cluster cluster;
  cluster.set_name(name);
  cluster.set_type(Cluster::EDS);
  cluster.mutable_eds_cluster_config()->mutable_eds_config()->mutable_ads();
  return cluster;
}

// A cluster that is refused: an interval of 0 is no interval.
inline Cluster badCluster(const std::string& name) {
  Cluster cluster = edsCluster(name);
  cluster.mutable_outlier_detection()->mutable_interval()->set_seconds(0);
  return cluster;
}

inline ClusterLoadAssignment assignment(const std::string& name, std::uint32_t port) {
  ClusterLoadAssignment assignment;
  assignment.set_cluster_name(name);
  auto* address = assignment.add_endpoints()
                      ->add_lb_endpoints()
                      ->mutable_endpoint()
                      ->mutable_address()
                      ->mutable_socket_address();
  address->set_address("10.0.0.1");
  address->set_port_value(port);
  return assignment;
}

template <typename... Messages>
Response response(std::string_view type, const std::string& version, const std::string& nonce,
                  const Messages&... messages) {
  Response made;
  made.set_type_url(std::string(type));
  made.set_version_info(version);
  made.set_nonce(nonce);
  (made.add_resources()->PackFrom(messages), ...);
  return made;
}

inline std::vector<std::string> namesOf(const Request& request) {
  return {request.resource_names().begin(), request.resource_names().end()};
}

class AdsClientTest : public ::testing::Test {
 protected:
  using SnapshotPtr = std::shared_ptr<const Snapshot>;

  ~AdsClientTest() override {
    if (!thread_.joinable()) return;
    loop_->post([this] {
      client_.reset();
      loop_->stop();
    });
    thread_.join();
  }

  void startClient(const std::string& address) {
    options_.channel.target = address;
    options_.backoffBase = milliseconds(2);
    options_.backoffMax = milliseconds(20);
    startClient();
  }

  // By `options_`, of which only what concerns the test is set.
  void startClient() {
    AdsClientOptions options = options_;
    options.node.set_id("sidecar~10.0.0.9~node.ns~ns.svc.cluster.local");
    options.firstResponseWait = firstResponseWait_;
    client_ = std::make_unique<AdsClient>(*loop_, store_, std::move(options));
    if (restoredAt_) client_->noteRestored(*restoredAt_);
    loop_->post([this] { client_->start(callbacks()); });
    thread_ = std::thread([this] { loop_->run(); });
  }

  AdsClient::Callbacks callbacks() {
    AdsClient::Callbacks callbacks;
    callbacks.onSnapshot = [this](SnapshotPtr snapshot) {
      if (whenTold_) whenTold_(*snapshot);
      snapshots_.put(std::move(snapshot));
    };
    callbacks.onStats = [this](const XdsStats& stats) { stats_.put(stats); };
    return callbacks;
  }

  // The first snapshot that `wanted` holds for; null when none comes.
  template <typename Wanted>
  SnapshotPtr snapshot(Wanted wanted) {
    while (auto next = snapshots_.take()) {
      if (wanted(**next)) return *next;
    }
    ADD_FAILURE() << "no such snapshot came";
    return nullptr;
  }

  template <typename Wanted>
  XdsStats stats(Wanted wanted) {
    while (auto next = stats_.take()) {
      if (wanted(*next)) return *next;
    }
    ADD_FAILURE() << "no such numbers came";
    return {};
  }

  // Brings a new stream to where cluster "a" with its endpoints and no listener are accepted.
  void bringUp(ScriptedAdsServer::Stream& stream) {
    EXPECT_EQ(stream.request().type_url(), kClusterType);
    stream.send(response(kClusterType, "c1", "n1", edsCluster("a")));
    EXPECT_EQ(stream.request().response_nonce(), "n1");
    EXPECT_EQ(stream.request().type_url(), kAssignmentType);
    EXPECT_EQ(stream.request().type_url(), kListenerType);
    stream.send(response(kAssignmentType, "e1", "n2", assignment("a", 80)));
    EXPECT_EQ(stream.request().response_nonce(), "n2");
    stream.send(response(kListenerType, "l1", "n3"));
    EXPECT_EQ(stream.request().response_nonce(), "n3");
  }

  AdsClientOptions options_;
  std::optional<Nanos> restoredAt_;                // of the cache that `store_` was given
  std::function<void(const Snapshot&)> whenTold_;  // on the loop's thread
  Nanos firstResponseWait_ = std::chrono::seconds(15);
  std::unique_ptr<EventLoop> loop_ = std::move(EventLoop::create()).value();
  ResourceStore store_;
  std::unique_ptr<AdsClient> client_;
  std::thread thread_;
  Mailbox<SnapshotPtr> snapshots_;
  Mailbox<XdsStats> stats_;
};

}  // namespace sockmesh::testing
