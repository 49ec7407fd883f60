// SPDX-License-Identifier: Apache-2.0
// The sweep ends records whose socket is gone without an event, and no other records.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <thread>

#include "maps/pin_path.h"
#include "records_fixture.h"

namespace sockmesh::test {
namespace {

const char* const kVip = "10.96.0.1:80";
const char* const kNowhere = "10.96.0.2:80";
constexpr const char* kFar = "203.0.113.1:80";  // no route here

void sendDescriptor(int through, int fd) {
  char byte = 0;
  iovec data{&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(fd))] = {};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(fd));
  std::memcpy(CMSG_DATA(header), &fd, sizeof(fd));
  ASSERT_EQ(sendmsg(through, &message, 0), 1);
}

class Sweep : public RecordsTest {
 protected:
  void SetUp() override {
    RecordsTest::SetUp();
    apply(TableBuilder()
              .service(kVip, "here", {backend_.toString()})
              .service(kNowhere, "nowhere", {kFar}));
  }
  // One of the programs is detached for a while, so the ends of connections are not reported.
  void detach(const std::string& program) {
    const std::string path = PinPath(sandbox_->bpffs()).links() + "/" + program;
    bpf_link* link = bpf_link__open(path.c_str());
    ASSERT_NE(link, nullptr);
    EXPECT_EQ(bpf_link__detach(link), 0);
    bpf_link__destroy(link);
    unlink(path.c_str());
  }
  std::uint32_t here() { return activeOf("here", backend_.toString()); }
  std::uint32_t nowhere() { return activeOf("nowhere", kFar); }
  std::uint64_t swept() { return readCounter(datapath_->maps(), SM_COUNTER_CONN_SWEPT).value(); }
  std::uint32_t overflow() { return datapath_->maps().globals[0].conn_overflow_live; }
  std::uint32_t active() override { return here() + nowhere(); }
};

TEST_F(Sweep, RecordsThatNeverCameToASynAreEndedByTheSecondPass) {
  detach("sm_sock_release");
  for (int i = 0; i < 29; ++i) {
    const UniqueFd client = tcpSocket();
    ASSERT_EQ(connectErrno(client.get(), at(kNowhere)), ENETUNREACH);
  }
  ASSERT_EQ(records(), 29u);
  ASSERT_EQ(nowhere(), 29u);
  EXPECT_TRUE(eventually([&] { return sweep().gone == 0 && records() == 0; }));
  EXPECT_EQ(nowhere(), 0u);
  EXPECT_EQ(swept(), 29u);
  EXPECT_EQ(statsOf("nowhere", kFar).failed[SM_FAILURE_LOCAL], 29u);
}

TEST_F(Sweep, TheFirstPassOnlyNotes) {
  detach("sm_sock_release");
  { EXPECT_EQ(connectErrno(tcpSocket().get(), at(kNowhere)), ENETUNREACH); }
  EXPECT_TRUE(eventually([&] { return sweep().gone == 1; }));
  EXPECT_EQ(records(), 1u);
  EXPECT_EQ(sweep().ended, 1u);
  EXPECT_EQ(records(), 0u);
}

TEST_F(Sweep, EstablishedConnectionsWhoseEndNobodyToldCountAsClosed) {
  {
    const UniqueFd client = std::move(connectTo(at(kVip))).value();
    const UniqueFd server = acceptOn(listener_);
    detach("sm_sock_ops");
    const linger now{1, 0};  // no TIME_WAIT: the socket is gone at once
    setsockopt(client.get(), SOL_SOCKET, SO_LINGER, &now, sizeof(now));
  }
  EXPECT_EQ(records(), 1u);
  EXPECT_TRUE(eventually([&] {
    sweep();
    return records() == 0;
  }));
  EXPECT_EQ(here(), 0u);
  EXPECT_EQ(statsOf("here", backend_.toString()).closed[SM_CLOSE_CLEAN], 1u);
}

// While a socket exists, in any state and anywhere, its record exists.
TEST_F(Sweep, SocketsThatAreThereKeepTheirRecords) {
  const UniqueFd established = std::move(connectTo(at(kVip))).value();
  const UniqueFd server = acceptOn(listener_);
  const UniqueFd failed = tcpSocket();
  ASSERT_EQ(connectErrno(failed.get(), at(kNowhere)), ENETUNREACH);
  // In a namespace of its own, which has no other process and no name.
  UniqueFd elsewhere;
  std::thread([&] {
    ASSERT_EQ(unshare(CLONE_NEWNET), 0);
    elsewhere = tcpSocket();
    ASSERT_EQ(connectErrno(elsewhere.get(), at(kNowhere)), ENETUNREACH);
  }).join();
  // An orphan: its application closed it, and nobody reads the data under way.
  UniqueFd orphan = std::move(connectTo(at(kVip))).value();
  const UniqueFd silent = acceptOn(listener_);
  const std::string data(1 << 20, 'x');
  while (send(orphan.get(), data.data(), data.size(), MSG_DONTWAIT) > 0) {
  }
  orphan.reset();
  // Only a message in a queue holds the socket.
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends), 0);
  const UniqueFd left(ends[0]);
  const UniqueFd right(ends[1]);
  {
    const UniqueFd sent = tcpSocket();
    ASSERT_EQ(connectErrno(sent.get(), at(kNowhere)), ENETUNREACH);
    sendDescriptor(left.get(), sent.get());
  }
  ASSERT_EQ(records(), 5u);
  for (int pass = 0; pass < 3; ++pass) {
    const auto turn = sweep();
    EXPECT_EQ(turn.gone, 0u);
    EXPECT_EQ(turn.ended, 0u);
  }
  EXPECT_EQ(records(), 5u);
  EXPECT_EQ(here(), 2u);
  EXPECT_EQ(nowhere(), 3u);
  EXPECT_EQ(peerOf(established.get()), at(kVip));
}

// Two threads connect, fail and close as fast as they can: a record that is being made may look as
// if its socket were gone, and is not ended.
TEST_F(Sweep, NothingThatIsBeingMadeIsEnded) {
  std::atomic<bool> done{false};
  std::vector<std::thread> makers;
  std::atomic<std::uint64_t> made{0};
  for (int i = 0; i < 2; ++i) {
    makers.emplace_back([&] {
      while (!done) {
        const UniqueFd client = tcpSocket();
        connectErrno(client.get(), at(kNowhere));
        ++made;
      }
    });
  }
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(2);
  int passes = 0;
  for (; passes < 4 || std::chrono::steady_clock::now() < until; ++passes) {
    EXPECT_EQ(sweep().ended, 0u);
  }
  done = true;
  for (auto& maker : makers) maker.join();
  EXPECT_EQ(records(), 0u);
  EXPECT_EQ(nowhere(), 0u);
  EXPECT_EQ(statsOf("nowhere", kFar).failed[SM_FAILURE_LOCAL], made);
  EXPECT_EQ(swept(), 0u);
}

class SweepOfASmallTable : public Sweep {
 protected:
  DatapathOptions options() const override {
    auto out = DatapathTest::options();
    out.maxConnections = 64;
    return out;
  }
};

TEST_F(SweepOfASmallTable, RecordsThatFoundTheirBucketFullAreSweptToo) {
  std::vector<UniqueFd> kept;
  for (int i = 0; i < 100; ++i) {
    kept.push_back(tcpSocket());
    ASSERT_EQ(connectErrno(kept.back().get(), at(kNowhere)), ENETUNREACH);
  }
  detach("sm_sock_release");
  for (int i = 0; i < 3000; ++i) {
    const UniqueFd client = tcpSocket();
    ASSERT_EQ(connectErrno(client.get(), at(kNowhere)), ENETUNREACH);
  }
  ASSERT_EQ(nowhere(), 3100u);
  EXPECT_TRUE(eventually([&] {
    sweep();
    return nowhere() == 100;
  })) << nowhere();
  EXPECT_EQ(records() + overflow(), 100u);
  EXPECT_EQ(swept(), 3000u);
}

// A starting agent finds what is left from before.
TEST_F(Sweep, ARestartHealsWhatIsLeft) {
  detach("sm_sock_release");
  { EXPECT_EQ(connectErrno(tcpSocket().get(), at(kNowhere)), ENETUNREACH); }
  open();
  EXPECT_TRUE(datapath_->adopted());
  EXPECT_EQ(nowhere(), 1u);
  EXPECT_TRUE(eventually([&] {
    sweep();
    return nowhere() == 0 && records() == 0;
  }));
}

}  // namespace
}  // namespace sockmesh::test
