// SPDX-License-Identifier: Apache-2.0
// The server and the agent's own client at the two ends of a real stream.
#include "ads_server.h"

#include <gtest/gtest.h>

#include <array>
#include <thread>

#include "ads/ads_client.h"
#include "resources.h"
#include "support/mailbox.h"

namespace sockmesh {
namespace {

using testing::cluster;
using testing::resources;

// One client: its store and what comes out of it.
struct Agent {
  ResourceStore store;
  testing::Mailbox<std::shared_ptr<const Snapshot>> snapshots;
  std::unique_ptr<AdsClient> client;

  void connect(EventLoop& loop, int port, const std::string& node, const AdsProtocol& protocol) {
    AdsClientOptions options;
    options.protocol = &protocol;
    options.channel.target = "127.0.0.1:" + std::to_string(port);
    options.node.set_id(node);
    options.backoffBase = std::chrono::milliseconds(2);
    AdsClient::Callbacks callbacks;
    callbacks.onSnapshot = [this](auto snapshot) { snapshots.put(std::move(snapshot)); };
    client = std::make_unique<AdsClient>(loop, store, std::move(options));
    client->start(std::move(callbacks));
  }

  // Waits for a snapshot in which `name` has an endpoint on `port`.
  bool sees(const std::string& name, std::uint16_t port) {
    while (const auto snapshot = snapshots.take()) {
      const auto found = (*snapshot)->assignments.find(name);
      if (found == (*snapshot)->assignments.end() || found->second->localities.empty()) continue;
      if (found->second->localities[0].endpoints[0].address.port == port) return true;
    }
    return false;
  }
};

class AdsServerTest : public ::testing::Test {
 protected:
  AdsServerTest() {
    auto started = AdsServer::start(*loop_, {.address = "127.0.0.1:0"},
                                    resources({cluster("a"), endpointsOf("a", 80)}),
                                    [this](const std::string& line, bool) { log_.put(line); });
    server_ = std::move(started).value();
    thread_ = std::thread([this] { loop_->run(); });
  }
  ~AdsServerTest() override {
    loop_->post([this] {
      for (Agent& agent : agents_) agent.client.reset();
      server_.reset();
      loop_->stop();
    });
    thread_.join();
  }

  static google::protobuf::Any endpointsOf(const std::string& name, std::uint32_t port) {
    envoy::config::endpoint::v3::ClusterLoadAssignment assignment;
    assignment.set_cluster_name(name);
    auto* address = assignment.add_endpoints()
                        ->add_lb_endpoints()
                        ->mutable_endpoint()
                        ->mutable_address()
                        ->mutable_socket_address();
    address->set_address("10.0.0.1");
    address->set_port_value(port);
    return testing::packed(assignment);
  }

  Agent& connect(Agent& agent, const std::string& node,
                 const AdsProtocol& protocol = sotwProtocol()) {
    loop_->post([this, &agent, node, &protocol] {
      agent.connect(*loop_, server_->port(), node, protocol);
    });
    return agent;
  }

  void publish(std::shared_ptr<const ResourceSet> set) {
    loop_->post([this, set] { server_->publish(set); });
  }

  bool logged(const std::string& part) {
    while (const auto line = log_.take()) {
      if (line->find(part) != std::string::npos) return true;
    }
    return false;
  }

  std::unique_ptr<EventLoop> loop_ = std::move(EventLoop::create()).value();
  testing::Mailbox<std::string> log_;
  std::unique_ptr<AdsServer> server_;
  std::array<Agent, 20> agents_;
  std::thread thread_;
};

TEST_F(AdsServerTest, ManyClientsGetEverythingAndEachChange) {
  for (std::size_t i = 0; i < agents_.size(); ++i) {
    connect(agents_[i], "node-" + std::to_string(i), i % 2 == 0 ? sotwProtocol() : deltaProtocol());
  }
  for (Agent& agent : agents_) EXPECT_TRUE(agent.sees("a", 80));
  publish(resources({cluster("a"), endpointsOf("a", 81)}));
  for (Agent& agent : agents_) EXPECT_TRUE(agent.sees("a", 81));
  publish(resources({cluster("b"), endpointsOf("b", 82)}));
  for (Agent& agent : agents_) EXPECT_TRUE(agent.sees("b", 82));
}

TEST_F(AdsServerTest, TheLogTellsWhoAcceptedWhat) {
  Agent& agent = connect(agents_[0], "node-x");
  EXPECT_TRUE(agent.sees("a", 80));
  EXPECT_TRUE(logged("[1] node-x: opened from "));
  EXPECT_TRUE(logged("[1] node-x: ACK EDS "));
  publish(resources({cluster("a"), endpointsOf("a", 70000)}));
  EXPECT_TRUE(logged("[1] node-x: NACK EDS "));
  loop_->post([&] { agent.client->stop(); });
  EXPECT_TRUE(logged("[1] node-x: closed"));
}

TEST_F(AdsServerTest, TheLogTellsWhoSpeaksDelta) {
  Agent& agent = connect(agents_[0], "node-x", deltaProtocol());
  EXPECT_TRUE(agent.sees("a", 80));
  EXPECT_TRUE(logged(", delta"));
  EXPECT_TRUE(logged("[1] node-x: ACK EDS "));
  publish(resources({cluster("a"), endpointsOf("a", 70000)}));
  EXPECT_TRUE(logged("[1] node-x: NACK EDS "));
}

TEST_F(AdsServerTest, APortThatIsTakenIsAnError) {
  const auto second =
      AdsServer::start(*loop_, {.address = "127.0.0.1:" + std::to_string(server_->port())},
                       resources({}), [](const std::string&, bool) {});
  ASSERT_FALSE(second);
  EXPECT_NE(second.error().message().find(std::to_string(server_->port())), std::string::npos);
}

}  // namespace
}  // namespace sockmesh
