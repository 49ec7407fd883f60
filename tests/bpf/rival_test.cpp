// SPDX-License-Identifier: Apache-2.0
// Another sock_ops program runs behind sockmesh's and replaces all callbacks by its own.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include <sstream>

#include "inspect/attachment_info.h"
#include "maps/endpoint_state_reader.h"
#include "support/datapath_test.h"
#include "support/eventually.h"
#include "tests/rival.skel.h"
#include "tools/sockmeshctl/cli.h"

namespace sockmesh::test {
namespace {

const char* const kVip = "10.96.0.1:80";
const char* const kDeadVip = "10.96.0.2:80";

constexpr std::uint64_t bit(int callback) {
  return 1ULL << callback;
}

struct Rivalry {
  const char* name;
  std::uint64_t inCallbacks;  // in which the rival sets its own
  bool establishedUntold;     // so that nobody tells us that the connections are established
};

class Rival : public DatapathTest, public testing::WithParamInterface<Rivalry> {
 protected:
  void SetUp() override {
    DatapathTest::SetUp();
    backend_ = at("127.0.0.2:0");
    listener_ = std::move(listenOn(backend_)).value();
    dead_ = at("127.0.0.3:0");
    listenOn(dead_).value();  // closed again: refuses
    apply(TableBuilder()
              .service(kVip, "a", {backend_.toString()})
              .service(kDeadVip, "b", {dead_.toString()})
              .ejecting("b", 3, 1));
    attachBehindOurs();
  }
  void TearDown() override {
    bpf_link__destroy(link_);
    rival_bpf::destroy(rival_);
    DatapathTest::TearDown();
  }
  void attachBehindOurs() {
    rival_ = rival_bpf::open();
    ASSERT_NE(rival_, nullptr);
    rival_->rodata->in_callbacks = GetParam().inCallbacks;
    ASSERT_EQ(rival_bpf::load(rival_), 0);
    const UniqueFd cgroup(::open(sandbox_->cgroup().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    link_ = bpf_program__attach_cgroup(rival_->progs.rival, cgroup.get());
    ASSERT_NE(link_, nullptr);
  }
  // The agent's sweep ends what is left: if a rival acts on state changes, even the end of a
  // cleanly closed connection is not reported.
  void expectNothingLeft() {
    EXPECT_TRUE(eventually([&] {
      sweep();
      return records() == 0 && activeOf("a", backend_.toString()) == 0;
    })) << records()
        << " records";
  }
  std::uint64_t lost() { return readCounter(datapath_->maps(), SM_COUNTER_CALLBACKS_LOST).value(); }
  std::string status() {
    std::ostringstream out;
    std::ostringstream err;
    ctl::runCli({"status", "--bpffs-root", sandbox_->bpffs(), "--admin-address", "127.0.0.1:1"},
                out, err);
    return out.str() + err.str();
  }

  SocketAddress backend_;
  SocketAddress dead_;
  UniqueFd listener_;
  rival_bpf* rival_ = nullptr;
  bpf_link* link_ = nullptr;
};

TEST_P(Rival, ConnectionsAreCountedFromBeginningToEnd) {
  std::vector<UniqueFd> clients;
  std::vector<UniqueFd> servers;
  for (int i = 0; i < 20; ++i) {
    clients.push_back(std::move(connectTo(at(kVip))).value());
    servers.push_back(acceptOn(listener_));
    ASSERT_EQ(send(clients.back().get(), "hello", 5, 0), 5);
    char got[5];
    ASSERT_EQ(recv(servers.back().get(), got, 5, MSG_WAITALL), 5);
  }
  EXPECT_EQ(statsOf("a", backend_.toString()).established, 20u);
  EXPECT_EQ(activeOf("a", backend_.toString()), 20u);
  for (const UniqueFd& client : clients) EXPECT_EQ(peerOf(client.get()), at(kVip));

  clients.clear();
  servers.clear();
  expectNothingLeft();
  const auto after = statsOf("a", backend_.toString());
  EXPECT_EQ(after.established, 20u);
  EXPECT_EQ(after.closed[SM_CLOSE_CLEAN], 20u);
  if (GetParam().inCallbacks != bit(BPF_SOCK_OPS_STATE_CB)) {
    EXPECT_EQ(after.sent_bytes, 100u);
  }
}

TEST_P(Rival, AResetIsTold) {
  auto client = std::move(connectTo(at(kVip))).value();
  auto server = acceptOn(listener_);
  const linger now{1, 0};
  setsockopt(server.get(), SOL_SOCKET, SO_LINGER, &now, sizeof(now));
  server.reset();
  pollfd waiting{client.get(), POLLIN, 0};
  ASSERT_EQ(poll(&waiting, 1, 5000), 1);
  client.reset();
  expectNothingLeft();
  EXPECT_EQ(statsOf("a", backend_.toString()).closed[SM_CLOSE_RESET_BY_PEER], 1u);
}

TEST_P(Rival, ADeadEndpointIsEjected) {
  for (int i = 0; i < 3; ++i) {
    const auto client = connectTo(at(kDeadVip));
    ASSERT_FALSE(client);
    EXPECT_EQ(client.error().errnum(), ECONNREFUSED);
  }
  expectNothingLeft();
  EXPECT_EQ(statsOf("b", dead_.toString()).failed[SM_FAILURE_REFUSED], 3u);
  const auto line = readEndpointState(datapath_->maps(), idOf("b", dead_.toString()));
  ASSERT_TRUE(line);
  EXPECT_TRUE(line->ejected);
}

// A second connect() after a first one whose end was not reported.
TEST_P(Rival, ARefusedSocketThatIsUsedAgainLeavesNothing) {
  const UniqueFd client = tcpSocket();
  ASSERT_EQ(connectErrno(client.get(), at(kDeadVip)), ECONNREFUSED);
  ASSERT_EQ(connectErrno(client.get(), at(kVip)), 0);
  EXPECT_EQ(activeOf("b", dead_.toString()), 0u);
  EXPECT_EQ(statsOf("b", dead_.toString()).failed[SM_FAILURE_REFUSED], 1u);
  EXPECT_EQ(activeOf("a", backend_.toString()), 1u);
  EXPECT_EQ(statsOf("a", backend_.toString()).established, 1u);
}

TEST_P(Rival, WhatTakesCallbacksAwayIsCountedAndNamed) {
  {
    const auto client = std::move(connectTo(at(kVip))).value();
    const auto server = acceptOn(listener_);
  }
  expectNothingLeft();
  if (!GetParam().establishedUntold) {
    EXPECT_EQ(lost(), 0u) << "nothing was lost";
    return;
  }
  EXPECT_GT(lost(), 0u);
  const std::string name =
      "rival#" + std::to_string([&] {
        bpf_prog_info info{};
        std::uint32_t length = sizeof(info);
        bpf_obj_get_info_by_fd(bpf_program__fd(rival_->progs.rival), &info, &length);
        return info.id;
      }());
  EXPECT_EQ(programsBehindOurs(sandbox_->bpffs(), "sm_sock_ops"), name);
  EXPECT_NE(status().find("behind ours: " + name), std::string::npos) << status();
}

INSTANTIATE_TEST_SUITE_P(
    Of, Rival,
    testing::Values(Rivalry{"Connect", bit(BPF_SOCK_OPS_TCP_CONNECT_CB), false},
                    Rivalry{"Established", bit(BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB), true},
                    Rivalry{"LastBeforeTheSyn", bit(BPF_SOCK_OPS_NEEDS_ECN), true},
                    Rivalry{"StateChanges", bit(BPF_SOCK_OPS_STATE_CB), true},
                    Rivalry{"Everything", ~0ULL, true}),
    [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace sockmesh::test
