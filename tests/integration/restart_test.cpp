// SPDX-License-Identifier: Apache-2.0
// What was adopted serves: an agent restarts before a control plane that takes its time, under
// connects that never cease.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>

#include <atomic>
#include <cerrno>
#include <random>
#include <set>
#include <thread>

#include "integration/gated_control_plane.h"
#include "integration/mesh_test.h"

namespace sockmesh::test {
namespace {

// Connects to a VIP without a pause, and takes the connections off the backends' queues.
class Traffic {
 public:
  Traffic(const std::string& vip, const std::vector<UniqueFd>& listeners) {
    for (const UniqueFd& listener : listeners) {
      fcntl(listener.get(), F_SETFL, fcntl(listener.get(), F_GETFL) | O_NONBLOCK);
      threads_.emplace_back([this, fd = listener.get()] {
        while (!done_) {
          pollfd waiting{fd, POLLIN, 0};
          if (poll(&waiting, 1, 50) != 1) continue;
          while (UniqueFd(accept4(fd, nullptr, nullptr, SOCK_CLOEXEC)).valid()) {
          }
        }
      });
    }
    threads_.emplace_back([this, vip] {
      // Paced: about 2,000 a second.
      for (auto due = std::chrono::steady_clock::now(); !done_;
           due += std::chrono::microseconds(500)) {
        std::this_thread::sleep_until(due);
        const auto client = connectTo(at(vip));
        if (!client) lastError_ = client.error().errnum();
        ++(client ? connected_ : failed_);
      }
    });
  }
  ~Traffic() { stop(); }

  void stop() {
    done_ = true;
    for (auto& thread : threads_) thread.join();
    threads_.clear();
  }
  // Waits until this many more connects have succeeded.
  bool awaitMore(std::uint64_t count) const {
    const std::uint64_t from = connected_;
    return eventually([&] { return connected_ >= from + count; }, std::chrono::seconds(30));
  }
  std::uint64_t connected() const { return connected_; }
  std::uint64_t failed() const { return failed_; }
  int lastError() const { return lastError_; }

 private:
  std::atomic<bool> done_{false};
  std::atomic<std::uint64_t> connected_{0};
  std::atomic<std::uint64_t> failed_{0};
  std::atomic<int> lastError_{0};
  std::vector<std::thread> threads_;
};

class Restart : public MeshTest {
 protected:
  void startAgent() {
    mesh_->startAgent({"--xds-address", server_.address()});
    ASSERT_TRUE(mesh_->ready()) << mesh_->agent().log();
  }
  void restart(int signal) {
    mesh_->agent().signal(signal);
    mesh_->agent().wait();
    startAgent();
  }
  bool readinessSays(const std::string& text) {
    return eventually([&] { return mesh_->get("/readyz").find(text) != std::string::npos; },
                      std::chrono::seconds(20));
  }
  bool serves(const std::string& vip, std::vector<std::string> hosts) {
    std::set<SocketAddress> wanted;
    for (const auto& host : hosts) wanted.insert(at(host));
    return mesh_->awaitImage([&](const KernelImage& image) {
      const auto found = image.services.find({at(vip), Protocol::kTcp});
      if (found == image.services.end()) return false;
      const auto& have = found->second.service->groups[0]->hosts;
      return std::set<SocketAddress>(have.begin(), have.end()) == wanted;
    });
  }

  GatedControlPlane server_;
};

class RestartBySignal : public Restart, public testing::WithParamInterface<int> {};

TEST_P(RestartBySignal, AdoptedServicesServeUntilTheirEndpointsHaveCome) {
  server_.serve(kVip, "a", {hosts_[0], hosts_[1]});
  server_.serve("10.96.0.2:80", "b", {hosts_[2]});
  startAgent();
  ASSERT_TRUE(serves(kVip, {hosts_[0], hosts_[1]}) && serves("10.96.0.2:80", {hosts_[2]}));
  Traffic traffic(kVip, listeners_);
  ASSERT_TRUE(traffic.awaitMore(200));

  server_.withhold({"a", "b"});
  restart(GetParam());
  EXPECT_TRUE(
      readinessSays("2 services serve as before: waiting for endpoints of 2 clusters (a, b)"))
      << mesh_->get("/readyz");
  EXPECT_NE(mesh_->get("/metrics").find("\nsockmesh_services_held 2\n"), std::string::npos);
  EXPECT_TRUE(traffic.awaitMore(500));
  const auto status = run({binary("sockmeshctl"), "--bpffs-root", sandbox_->bpffs(), "status"});
  EXPECT_EQ(status.code, 0);
  EXPECT_NE(status.output.find("2 services serve as before"), std::string::npos) << status.output;

  // Service by service.
  server_.withhold({"a"});
  EXPECT_TRUE(readinessSays("1 service serves as before: waiting for endpoints of 1 cluster (a)"));
  server_.serve(kVip, "a", {hosts_[1], hosts_[2]});
  server_.withhold({});
  EXPECT_TRUE(serves(kVip, {hosts_[1], hosts_[2]}));
  EXPECT_TRUE(mesh_->agent().awaitLog("no service is held any more"));
  EXPECT_TRUE(traffic.awaitMore(200));
  traffic.stop();
  EXPECT_EQ(traffic.failed(), 0u) << "errno " << traffic.lastError();
}

INSTANTIATE_TEST_SUITE_P(Both, RestartBySignal, testing::Values(SIGKILL, SIGTERM),
                         [](const auto& test) { return std::string(sigabbrev_np(test.param)); });

TEST_F(Restart, EndpointsThatDoNotComeInTimeCountAsNone) {
  server_.serve(kVip, "a", {hosts_[0]}, std::chrono::seconds(1));
  startAgent();
  ASSERT_TRUE(serves(kVip, {hosts_[0]}));
  server_.withhold({"a"});
  restart(SIGKILL);
  EXPECT_TRUE(connectTo(at(kVip)));
  EXPECT_TRUE(eventually([&] {
    const auto client = connectTo(at(kVip));
    return !client && client.error().errnum() == ECONNREFUSED;
  }));
}

TEST_F(Restart, AServiceThatIsGoneMeanwhileGoes) {
  server_.serve(kVip, "a", {hosts_[0]});
  server_.serve("10.96.0.2:80", "b", {hosts_[1]});
  startAgent();
  ASSERT_TRUE(serves(kVip, {hosts_[0]}) && serves("10.96.0.2:80", {hosts_[1]}));
  server_.remove(kVip);
  server_.withhold({"b"});
  restart(SIGTERM);
  EXPECT_TRUE(readinessSays("1 service serves as before"));
  EXPECT_TRUE(mesh_->awaitImage([&](const KernelImage& image) {
    return !image.services.contains({at(kVip), Protocol::kTcp});
  }));
  EXPECT_TRUE(connectTo(at("10.96.0.2:80")));
}

// The last good version of a rejected listener is in the kernel alone, after a restart.
TEST_F(Restart, AServiceWhoseListenerIsRejectedServesOn) {
  server_.serve(kVip, "a", {hosts_[0]});
  server_.serve("10.96.0.2:80", "b", {hosts_[1]});
  startAgent();
  ASSERT_TRUE(serves(kVip, {hosts_[0]}) && serves("10.96.0.2:80", {hosts_[1]}));
  server_.spoilListener(kVip);
  restart(SIGKILL);
  EXPECT_TRUE(readinessSays("the present version of 1 listener")) << mesh_->get("/readyz");
  EXPECT_TRUE(connectTo(at(kVip)));
}

// Random kills while other services come, change and go. The service that stays is never missed.
TEST_F(Restart, AServiceThatStaysIsNeverMissedUnderKillsAndChanges) {
  server_.serve(kVip, "a", {hosts_[0], hosts_[1]});
  startAgent();
  ASSERT_TRUE(serves(kVip, {hosts_[0], hosts_[1]}));
  Traffic traffic(kVip, listeners_);
  std::atomic<bool> done{false};
  std::thread changing([&] {
    std::mt19937 random(1);
    for (int i = 0; !done; ++i) {
      const std::string vip = "10.96.1." + std::to_string(1 + random() % 20) + ":80";
      if (random() % 3 == 0) {
        server_.remove(vip);
      } else {
        server_.serve(vip, "c" + vip, {hosts_[random() % 3], hosts_[random() % 3]});
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  });
  std::mt19937 random(2);
  for (int round = 0; round < 8; ++round) {
    traffic.awaitMore(random() % 300);
    mesh_->agent().signal(random() % 2 == 0 ? SIGKILL : SIGTERM);
    mesh_->agent().wait();
    mesh_->startAgent({"--xds-address", server_.address()});
    // Every other one is killed while it starts.
    if (round % 2 != 0) continue;
    EXPECT_TRUE(mesh_->ready()) << mesh_->agent().log();
  }
  EXPECT_TRUE(mesh_->ready()) << mesh_->agent().log();
  done = true;
  changing.join();
  traffic.stop();
  EXPECT_EQ(traffic.failed(), 0u) << "errno " << traffic.lastError();
  EXPECT_GT(traffic.connected(), 500u);
}

}  // namespace
}  // namespace sockmesh::test
