// SPDX-License-Identifier: Apache-2.0
// Whose fault a failed connect() is, with real sockets: the endpoint's (refused, silent, reset in
// the handshake, unreachable), the application's (it gave up), or one pod's own.
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "maps/endpoint_state_reader.h"
#include "support/datapath_test.h"
#include "support/eventually.h"
#include "support/pod.h"
#include "support/tun_peer.h"

namespace sockmesh::test {
namespace {

constexpr const char* kVip = "10.96.0.1:80";
constexpr auto kTimeout = std::chrono::milliseconds(250);

class Blame : public DatapathTest {
 protected:
  void SetUp() override {
    DatapathTest::SetUp();
    auto peer = TunPeer::create();
    ASSERT_TRUE(peer) << peer.error().message();
    peer_ = std::move(peer).value();
  }
  // The VIP leads to this endpoint alone; three failures in a row eject it.
  void serve(const std::string& endpoint, Nanos connectTimeout = kTimeout) {
    endpoint_ = endpoint;
    apply(TableBuilder()
              .service(kVip, "c", {endpoint})
              .ejecting("c", 3, 1, std::chrono::seconds(30), connectTimeout));
  }
  EndpointState line() {
    return readEndpointState(datapath_->maps(), idOf("c", endpoint_)).value();
  }
  sm_endpoint_stats stats() { return statsOf("c", endpoint_); }
  int connectOnce() {
    const auto socket = tcpSocket();
    return connectErrno(socket.get(), at(kVip));
  }

  std::string endpoint_;
  std::unique_ptr<TunPeer> peer_;
};

struct Way {
  const char* name;
  const char* endpoint;
  int error;
  sm_failure failure;
};

class EndpointsFault : public Blame, public testing::WithParamInterface<Way> {};

TEST_P(EndpointsFault, ThreeInARowEject) {
  serve(GetParam().endpoint);
  for (int i = 1; i <= 3; ++i) {
    EXPECT_FALSE(line().ejected);
    EXPECT_EQ(connectOnce(), GetParam().error);
    EXPECT_EQ(stats().failed[GetParam().failure], static_cast<__u64>(i));
  }
  EXPECT_TRUE(line().ejected);
  EXPECT_EQ(line().failures, 3u);
}

INSTANTIATE_TEST_SUITE_P(Real, EndpointsFault,
                         testing::Values(Way{"Refused", TunPeer::kRefusing, ECONNREFUSED,
                                             SM_FAILURE_REFUSED},
                                         Way{"ResetInHandshake", TunPeer::kResetInHandshake,
                                             ECONNRESET, SM_FAILURE_RESET},
                                         Way{"Unreachable", TunPeer::kUnreachable, EHOSTUNREACH,
                                             SM_FAILURE_UNREACHABLE}),
                         [](const auto& test) { return std::string(test.param.name); });

// As in Envoy: what happens to an established connection does not count for a detector.
TEST_F(Blame, AResetAfterAcceptIsASuccess) {
  serve(TunPeer::kResetAfterAccept);
  for (int i = 0; i < 5; ++i) {
    const auto socket = tcpSocket(false, true);
    EXPECT_EQ(connectErrno(socket.get(), at(kVip)), EINPROGRESS);
    pollfd waiting{socket.get(), POLLRDHUP, 0};
    EXPECT_EQ(poll(&waiting, 1, 5000), 1);
  }
  EXPECT_EQ(stats().closed[SM_CLOSE_RESET_BY_PEER], 5u);
  EXPECT_FALSE(line().ejected);
  EXPECT_EQ(line().successes, 5u);
  EXPECT_EQ(line().failures, 0u);
}

// TCP itself waits for two minutes. connect_timeout counts at the first retransmission after it.
TEST_F(Blame, ABlackHoleIsNoticedWhileTheApplicationsStillWait) {
  serve(TunPeer::kSilent);
  std::vector<UniqueFd> waiting;
  for (int i = 0; i < 3; ++i) {
    waiting.push_back(tcpSocket(false, true));
    EXPECT_EQ(connectErrno(waiting.back().get(), at(kVip)), EINPROGRESS);
  }
  EXPECT_TRUE(eventually([&] { return line().ejected; }));
  EXPECT_EQ(stats().failed[SM_FAILURE_TIMED_OUT], 3u);
  EXPECT_EQ(activeOf("c", endpoint_), 3u) << "they wait still";
  waiting.clear();
  EXPECT_TRUE(eventually([&] { return activeOf("c", endpoint_) == 0; }));
  EXPECT_EQ(stats().failed[SM_FAILURE_TIMED_OUT], 3u) << "counted once";
  EXPECT_EQ(stats().failed[SM_FAILURE_ABANDONED], 0u);
  EXPECT_EQ(records(), 0u);
}

TEST_F(Blame, GivingUpAfterTheTimeoutIsATimeout) {
  serve(TunPeer::kSilent, std::chrono::milliseconds(50));
  {
    const auto socket = tcpSocket(false, true);
    EXPECT_EQ(connectErrno(socket.get(), at(kVip)), EINPROGRESS);
    pollfd waiting{socket.get(), POLLOUT, 0};
    poll(&waiting, 1, 100);
  }
  EXPECT_EQ(stats().failed[SM_FAILURE_TIMED_OUT], 1u);
  EXPECT_EQ(line().failures, 1u);
}

// The application tells TCP to give up early. Envoy would have waited for connect_timeout.
struct Patience {
  const char* name;
  int option;
  int value;
};

class OwnPatience : public Blame, public testing::WithParamInterface<Patience> {
 protected:
  // Three connects at once; each ends with TCP's ETIMEDOUT.
  void giveUpThrice() {
    std::vector<UniqueFd> waiting;
    for (int i = 0; i < 3; ++i) {
      waiting.push_back(tcpSocket(false, true));
      const int value = GetParam().value;
      ASSERT_EQ(
          setsockopt(waiting.back().get(), IPPROTO_TCP, GetParam().option, &value, sizeof(value)),
          0);
      EXPECT_EQ(connectErrno(waiting.back().get(), at(kVip)), EINPROGRESS);
    }
    for (const UniqueFd& socket : waiting) {
      pollfd ended{socket.get(), POLLOUT, 0};
      ASSERT_EQ(poll(&ended, 1, 30000), 1);
      int error = 0;
      socklen_t length = sizeof(error);
      getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &length);
      EXPECT_EQ(error, ETIMEDOUT);
    }
  }
};

TEST_P(OwnPatience, BeforeConnectTimeoutBlamesNobody) {
  serve(TunPeer::kSilent, std::chrono::seconds(60));
  giveUpThrice();
  EXPECT_EQ(stats().failed[SM_FAILURE_ABANDONED], 3u);
  EXPECT_EQ(stats().failed[SM_FAILURE_TIMED_OUT], 0u);
  EXPECT_EQ(line().failures, 0u);
  EXPECT_FALSE(line().ejected);
  EXPECT_EQ(records(), 0u);
}

TEST_P(OwnPatience, AfterConnectTimeoutIsATimeout) {
  serve(TunPeer::kSilent, std::chrono::milliseconds(50));
  giveUpThrice();
  EXPECT_EQ(stats().failed[SM_FAILURE_TIMED_OUT], 3u);
  EXPECT_TRUE(line().ejected);
}

INSTANTIATE_TEST_SUITE_P(Tcp, OwnPatience,
                         testing::Values(Patience{"UserTimeout", TCP_USER_TIMEOUT, 20},
                                         Patience{"SynCount", TCP_SYNCNT, 1}),
                         [](const auto& test) { return std::string(test.param.name); });

// Ten thousand connections whose process is killed while the SYN is out.
TEST_F(Blame, AnApplicationThatIsKilledEarlyBlamesNobody) {
  serve(TunPeer::kSilent, std::chrono::seconds(5));
  constexpr int kProcesses = 50;
  constexpr int kSockets = 200;
  for (int i = 0; i < kProcesses; ++i) {
    int pipes[2];
    ASSERT_EQ(pipe(pipes), 0);
    const pid_t child = fork();
    if (child == 0) {
      const rlimit many{1024, 1024};
      setrlimit(RLIMIT_NOFILE, &many);
      int waiting = 0;
      for (int s = 0; s < kSockets; ++s) {
        auto socket = tcpSocket(false, true);
        waiting += connectErrno(socket.get(), at(kVip)) == EINPROGRESS ? 1 : 0;
        [[maybe_unused]] const int kept = socket.release();
      }
      if (write(pipes[1], &waiting, sizeof(waiting)) != sizeof(waiting)) _exit(1);
      pause();
      _exit(0);
    }
    const UniqueFd reading(pipes[0]);
    const UniqueFd writing(pipes[1]);
    int waiting = 0;
    ASSERT_EQ(read(reading.get(), &waiting, sizeof(waiting)),
              static_cast<ssize_t>(sizeof(waiting)));
    EXPECT_EQ(waiting, kSockets);
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
  }
  EXPECT_TRUE(eventually([&] { return activeOf("c", endpoint_) == 0; }));
  EXPECT_EQ(stats().failed[SM_FAILURE_ABANDONED], 1ULL * kProcesses * kSockets);
  EXPECT_EQ(line().failures, 0u);
  EXPECT_FALSE(line().ejected);
}

// Two pods. The firewall of one pod blocks the endpoint. The other pod is served.
class TwoPods : public Blame {
 protected:
  void SetUp() override {
    Blame::SetUp();
    ASSERT_TRUE(addAddress("10.97.0.1"));
    SocketAddress address = at("10.97.0.1:0");
    listener_ = std::move(listenOn(address)).value();
    fcntl(listener_.get(), F_SETFL, O_NONBLOCK);
    serve(address.toString(), std::chrono::seconds(1));
    for (int i = 0; i < 2; ++i) {
      auto pod = Pod::create(i + 1);
      ASSERT_TRUE(pod) << pod.error().message();
      pods_[i] = std::move(pod).value();
    }
  }
  void forbid(Pod& pod, const std::string& verdict) {
    for (const std::string& line :
         {std::string("add table ip own"),
          std::string("add chain ip own out { type filter hook output priority 0; }"),
          "add rule ip own out ip daddr 10.97.0.1 " + verdict}) {
      const Ran ran = pod.exec({"nft", line});
      ASSERT_EQ(ran.code, 0) << ran.output;
    }
  }
  int connectFrom(int pod, std::chrono::milliseconds patience = std::chrono::seconds(5)) {
    const int error = pods_[pod]->connect(at(kVip), patience);
    while (UniqueFd(accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK)).valid()) {
    }
    return error;
  }

  UniqueFd listener_;
  std::unique_ptr<Pod> pods_[2];
};

class OnePodsFirewall : public TwoPods, public testing::WithParamInterface<const char*> {};

TEST_P(OnePodsFirewall, EjectsForNobody) {
  EXPECT_EQ(connectFrom(0), 0);
  EXPECT_EQ(connectFrom(1), 0);
  forbid(*pods_[0], GetParam());
  // The failures come faster than the other pod is served, and are more than the threshold.
  const bool silent = std::string(GetParam()) == "drop";
  for (int round = 0; round < 4; ++round) {
    for (int i = 0; i < 10; ++i) {
      EXPECT_NE(connectFrom(0, std::chrono::milliseconds(silent ? 1 : 1000)), 0);
    }
    if (silent) {
      EXPECT_EQ(connectFrom(0, std::chrono::milliseconds(1100)), ETIMEDOUT);
    }
    EXPECT_EQ(connectFrom(1), 0);
    EXPECT_FALSE(line().ejected);
  }
  // A REJECT without reset ends connect() before TCP has an error. It counts as given up.
  EXPECT_GE(line().failures + stats().failed[SM_FAILURE_ABANDONED], 40u);
  EXPECT_EQ(sumClusterStats(datapath_->maps(), ids_->clusterId("c")).ejections_own,
            std::string(GetParam()) == "reject" ? 0u : 1u)
      << "for itself it is ejected";
}

INSTANTIATE_TEST_SUITE_P(Nft, OnePodsFirewall,
                         testing::Values("reject with tcp reset", "reject", "drop"),
                         [](const auto& test) {
                           const std::string verdict = test.param;
                           return verdict == "drop"     ? "Drop"
                                  : verdict == "reject" ? "Reject"
                                                        : "RejectWithReset";
                         });

TEST_F(TwoPods, AnEndpointThatIsGoneIsEjectedThoughBothWereServed) {
  EXPECT_EQ(connectFrom(0), 0);
  EXPECT_EQ(connectFrom(1), 0);
  listener_.reset();
  int failures = 0;
  for (int i = 0; i < 10 && !line().ejected; ++i) {
    EXPECT_EQ(pods_[i % 2]->connect(at(kVip)), ECONNREFUSED);
    ++failures;
  }
  EXPECT_EQ(failures, 6) << "three of each: then they agree";
}

}  // namespace
}  // namespace sockmesh::test
