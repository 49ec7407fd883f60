// SPDX-License-Identifier: Apache-2.0
// Sampled selections with real sockets: what a watcher sees, that nobody has to clean up after it,
// and the times that are counted.
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "inspect/live_state.h"
#include "inspect/selection_watch.h"
#include "maps/client_text.h"
#include "maps/codec.h"
#include "maps/event_ring.h"
#include "stats/datapath_collector.h"
#include "stats/exposition.h"
#include "support/datapath_test.h"
#include "support/eventually.h"
#include "tools/sockmeshctl/cli.h"

namespace sockmesh::test {
namespace {

using nlohmann::json;
using ::testing::Each;
using ::testing::HasSubstr;

constexpr const char* kVip = "10.96.0.1:80";
constexpr const char* kDns = "10.96.0.1:53";
constexpr const char* kBad = "10.96.0.2:80";
constexpr const char* kEmpty = "10.96.0.3:80";
constexpr const char* kTls = "10.96.0.4:80";

constexpr auto kPatience = std::chrono::seconds(60);
constexpr Nanos kLong = std::chrono::hours(1);

Nanos now() {
  return SystemClock().monotonic();
}
SocketAddress vipOf(const sm_selection& one) {
  return {decodeAddress(one.vip_be), decodePort(one.vip_port_be)};
}
SocketAddress endpointOf(const sm_selection& one) {
  return {decodeAddress(one.endpoint_be), decodePort(one.endpoint_port_be)};
}
// A connect() of a UDP socket chooses an endpoint, and takes no port of the listener's queue.
void select(const char* vip = kDns) {
  const UniqueFd socket = udpSocket();
  EXPECT_EQ(connectErrno(socket.get(), at(vip)), 0);
}
void select(int times) {
  for (int i = 0; i < times; ++i) select();
}

class SelectionsTest : public DatapathTest {
 protected:
  void SetUp() override {
    DatapathTest::SetUp();
    listener_ = std::move(listenOn(tcp_)).value();
    server_ = std::move(udpServer(udp_)).value();
    SocketAddress closed = at("127.0.0.3:0");
    listenOn(closed).value();  // closed again: its port is free and refuses
    apply(TableBuilder()
              .service(kVip, "web", {tcp_.toString()})
              .service(kDns, "dns", {udp_.toString()})
              .udp(kDns)
              .service(kBad, "bad", {closed.toString()})
              .ejecting("bad", 1, 1)
              .service(kEmpty, "empty", {})
              .leftAlone(kTls, "tls", SM_REASON_TLS)
              .service("127.1.0.0/16:80", "range", {tcp_.toString()}));
  }
  DatapathOptions options() const override {
    DatapathOptions out = DatapathTest::options();
    out.timeOneSelectionIn = oneInTimed_;
    return out;
  }
  // A watcher that watches already, however slow the machine is.
  std::unique_ptr<SelectionWatch> watch(std::uint32_t oneIn = 1) {
    auto watch = std::make_unique<SelectionWatch>(sandbox_->bpffs(), oneIn, kLong);
    const auto begun = watch->next(now());
    EXPECT_TRUE(begun) << begun.error().message();
    return watch;
  }
  static SelectionWatch::Seen seen(SelectionWatch& watch) {
    auto seen = watch.next(now());
    EXPECT_TRUE(seen) << seen.error().message();
    return std::move(seen).value();
  }
  // What is seen of one action that selects once.
  template <typename Action>
  sm_selection seenOf(Action action) {
    const auto watching = watch();
    action();
    const auto all = seen(*watching).selections;
    EXPECT_EQ(all.size(), 1U);
    return all.empty() ? sm_selection{} : all.front();
  }
  std::string nameOf(const sm_selection& one) { return image().clusterNames[one.cluster_id]; }
  sm_globals& globals() { return datapath_->maps().globals[0]; }
  std::uint32_t sampleBelow() {
    return std::atomic_ref<__u32>(globals().sample_below).load(std::memory_order_relaxed);
  }
  sm_selection_times times() { return sumSelectionTimes(datapath_->maps()).value(); }
  std::uint64_t timed() {
    std::uint64_t sum = 0;
    for (const std::uint64_t count : times().count) sum += count;
    return sum;
  }
  // What `sockmeshctl monitor` prints while selections are made all the time.
  json monitored(std::vector<std::string> flags) {
    std::vector<std::string> words = {"monitor",
                                      "--selections",
                                      "--interval",
                                      "50ms",
                                      "--times",
                                      "1",
                                      "-o",
                                      "json",
                                      "--bpffs-root",
                                      sandbox_->bpffs(),
                                      "--admin-address",
                                      "127.0.0.1:1"};
    words.insert(words.end(), flags.begin(), flags.end());
    std::ostringstream out;
    std::ostringstream err;
    std::jthread clients([](const std::stop_token& stop) {
      while (!stop.stop_requested()) select();
    });
    EXPECT_EQ(ctl::runCli(words, out, err), 0) << err.str();
    return json::parse(out.str(), nullptr, false);
  }

  // The same, until there is a selection in it.
  json monitoredAny(const std::vector<std::string>& flags) {
    json shown;
    const auto any = [&] {
      shown = monitored(flags);
      return !shown["selections"].empty();
    };
    EXPECT_TRUE(eventually(any, kPatience));
    return shown;
  }

  std::uint32_t oneInTimed_ = 0;
  SocketAddress tcp_ = at("127.0.0.2:0");
  SocketAddress udp_ = at("127.0.0.2:0");
  UniqueFd listener_;
  UniqueFd server_;
};

TEST_F(SelectionsTest, AConnectIsSeenWithWhatWasChosenForWhom) {
  prctl(PR_SET_NAME, "asks-a-lot");
  const std::uint64_t before = static_cast<std::uint64_t>(now().count());
  const auto one = seenOf([] { EXPECT_TRUE(connectTo(at(kVip))); });
  EXPECT_EQ(vipOf(one), at(kVip));
  EXPECT_EQ(endpointOf(one), tcp_);
  EXPECT_EQ(one.endpoint_id, idOf("web", tcp_.toString()));
  EXPECT_EQ(nameOf(one), "web");
  EXPECT_EQ(one.protocol, IPPROTO_TCP);
  EXPECT_EQ(one.policy, SM_POLICY_ROUND_ROBIN);
  EXPECT_EQ(one.kind, SM_SELECTION_CONNECT);
  EXPECT_STREQ(one.thread, "asks-a-lot");
  EXPECT_GT(one.tgid, 0U);
  EXPECT_THAT(clientText(one.client), HasSubstr("netns:"));
  EXPECT_GT(one.took_ns, 0U);
  EXPECT_GE(one.at_ns, before);
  EXPECT_LE(one.at_ns, static_cast<std::uint64_t>(now().count()));
}

TEST_F(SelectionsTest, UdpIsSeenByConnectAndByFlow) {
  const auto connected = seenOf([] { select(); });
  EXPECT_EQ(connected.protocol, IPPROTO_UDP);
  EXPECT_EQ(connected.kind, SM_SELECTION_CONNECT);
  const auto flow = seenOf([] {
    const UniqueFd socket = udpSocket();
    for (int i = 0; i < 3; ++i) EXPECT_EQ(sendErrno(socket.get(), "x", at(kDns)), 0);
  });
  EXPECT_EQ(flow.kind, SM_SELECTION_FLOW);
  EXPECT_EQ(vipOf(flow), at(kDns));
  EXPECT_EQ(endpointOf(flow), udp_);
}

TEST_F(SelectionsTest, WhatGoesToNoEndpointIsSeenWithItsReason) {
  const auto refused = seenOf([] { EXPECT_FALSE(connectTo(at(kEmpty))); });
  EXPECT_EQ(refused.policy, SM_POLICY_REFUSE);
  EXPECT_EQ(refused.reason, SM_REASON_NO_ENDPOINTS);
  EXPECT_EQ(refused.endpoint_id, 0U);
  EXPECT_EQ(nameOf(refused), "empty");
  const auto alone = seenOf([] { EXPECT_FALSE(connectTo(at(kTls))); });
  EXPECT_EQ(alone.policy, SM_POLICY_LEAVE_ALONE);
  EXPECT_EQ(alone.reason, SM_REASON_TLS);
  EXPECT_EQ(vipOf(alone), at(kTls));
}

TEST_F(SelectionsTest, AnAddressInARangeIsSeenAsItWasAskedFor) {
  const auto one = seenOf([] { EXPECT_TRUE(connectTo(at("127.1.2.3:80"))); });
  EXPECT_EQ(vipOf(one), at("127.1.2.3:80"));
  EXPECT_EQ(endpointOf(one), tcp_);
}

TEST_F(SelectionsTest, AnMptcpSocketIsSeenWithTheAddressThatItAskedForToo) {
  constexpr int kMptcp = 262;  // IPPROTO_MPTCP
  const UniqueFd socket(::socket(AF_INET, SOCK_STREAM, kMptcp));
  if (!socket.valid()) GTEST_SKIP() << "this kernel has no MPTCP";
  const auto one = seenOf([&] { EXPECT_EQ(connectErrno(socket.get(), at("127.1.2.3:80")), 0); });
  EXPECT_EQ(vipOf(one), at("127.1.2.3:80"));
  EXPECT_EQ(one.protocol, IPPROTO_TCP);
}

TEST_F(SelectionsTest, WhatIsNoServiceIsNeverSeen) {
  const auto watching = watch();
  EXPECT_TRUE(connectTo(tcp_));
  EXPECT_FALSE(connectTo(at("127.0.0.9:9")));
  EXPECT_TRUE(seen(*watching).selections.empty());
}

TEST_F(SelectionsTest, OneInEightIsAboutAnEighth) {
  const auto watching = watch(8);
  select(2000);
  const auto all = seen(*watching);
  EXPECT_GT(all.selections.size(), 150U);
  EXPECT_LT(all.selections.size(), 350U);
  EXPECT_EQ(all.lost, 0U);
}

TEST_F(SelectionsTest, WithoutAWatcherNothingIsSampled) {
  select(20);
  EXPECT_EQ(globals().selections, 0U);
  EXPECT_EQ(sampleBelow(), 0U);
  { const auto watching = watch(); }
  select(20);
  EXPECT_EQ(globals().selections, 0U) << "the watcher has let go";
  EXPECT_EQ(sampleBelow(), 0U) << "the programs lower the bound that nobody needs";
}

TEST_F(SelectionsTest, AWatcherThatIsKilledIsForgotten) {
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    SelectionWatch watch(sandbox_->bpffs(), 1);
    char begun = watch.next(now()) ? 'y' : 'n';
    if (write(ready[1], &begun, 1) != 1) _exit(1);
    for (;;) {
      poll(nullptr, 0, 100);
      if (!watch.next(now())) _exit(2);
    }
  }
  char begun = 0;
  ASSERT_EQ(read(ready[0], &begun, 1), 1);
  EXPECT_EQ(begun, 'y');
  EXPECT_TRUE(eventually(
      [this] {
        select();
        return globals().selections > 0;
      },
      kPatience));
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  for (const int end : ready) close(end);
  EXPECT_TRUE(eventually(
      [this] {
        select();
        return sampleBelow() == 0;
      },
      kPatience));
  const std::uint64_t before = globals().selections;
  select(20);
  EXPECT_EQ(globals().selections, before);
}

TEST_F(SelectionsTest, SeveralWatchEachAtItsOwnRate) {
  const auto all = watch(1);
  const auto few = watch(4'000'000'000);
  select(100);
  EXPECT_EQ(seen(*all).selections.size(), 100U);
  EXPECT_LT(seen(*few).selections.size(), 3U);
}

TEST_F(SelectionsTest, OneMoreThanCanWatchIsTold) {
  std::vector<std::unique_ptr<SelectionWatch>> all;
  for (int i = 0; i < SM_WATCHERS; ++i) all.push_back(watch(1000));
  SelectionWatch late(sandbox_->bpffs(), 1);
  const auto refused = late.next(now());
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message(), HasSubstr("16 watch selections already"));
  all.pop_back();
  EXPECT_TRUE(late.next(now()));
}

TEST_F(SelectionsTest, AWatchGoesOnOverARestartOfTheAgent) {
  const auto watching = watch();
  open();
  select(5);
  EXPECT_EQ(seen(*watching).selections.size(), 5U);
}

// Selections have a ring of their own.
TEST_F(SelectionsTest, AFloodLosesSelectionsAloneAndCountsThem) {
  std::vector<RingEvent> events;
  const auto ring =
      EventRing::open(datapath_->maps(), [&](const RingEvent& event) { events.push_back(event); });
  ASSERT_TRUE(ring) << ring.error().message();
  const auto watching = watch();
  select(SM_SELECTIONS);
  EXPECT_FALSE(connectTo(at(kBad)));
  select(SM_SELECTIONS - 1);
  const auto all = seen(*watching);
  EXPECT_EQ(all.lost, static_cast<std::uint64_t>(SM_SELECTIONS));
  EXPECT_EQ(all.selections.size(), static_cast<std::size_t>(SM_SELECTIONS));
  (*ring)->drain();
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0].kind, RingEvent::Kind::kDetected);
  EXPECT_EQ(readCounter(datapath_->maps(), SM_COUNTER_EVENTS_DROPPED).value(), 0U);
}

TEST_F(SelectionsTest, ReadersSeeWholeSelectionsWhileAllCpusWrite) {
  const auto watching = watch();
  std::atomic<int> made = 0;
  std::vector<std::jthread> clients;
  for (const char* vip : {kDns, kDns, kTls}) {
    clients.emplace_back([&made, vip] {
      for (int i = 0; i < 1500; ++i) {
        const UniqueFd socket = vip == kTls ? tcpSocket(false, true) : udpSocket();
        connectErrno(socket.get(), at(vip));
        ++made;
      }
    });
  }
  std::uint64_t counted = 0;
  const auto take = [&] {
    const auto part = seen(*watching);
    counted += part.selections.size() + part.lost;
    for (const sm_selection& one : part.selections) {
      const bool dns = vipOf(one) == at(kDns) && endpointOf(one) == udp_ && one.endpoint_id != 0;
      const bool tls =
          vipOf(one) == at(kTls) && one.reason == SM_REASON_TLS && one.endpoint_id == 0;
      ASSERT_TRUE(dns || tls) << vipOf(one).toString() << " " << endpointOf(one).toString();
    }
  };
  while (made < 4500) take();
  clients.clear();
  EXPECT_TRUE(eventually([&] {
    take();
    return counted == 4500;
  })) << counted;
}

TEST_F(SelectionsTest, TheMonitorShowsThem) {
  const json shown = monitoredAny({});
  ASSERT_FALSE(shown["selections"].empty()) << shown.dump(2);
  const json one = shown["selections"][0];
  EXPECT_EQ(one["event"], "selection");
  EXPECT_EQ(one["vip"], "10.96.0.1");
  EXPECT_EQ(one["service"], "listener-10.96.0.1:53");
  EXPECT_EQ(one["cluster"], "dns");
  EXPECT_EQ(one["address"], udp_.ip.toString());
  EXPECT_EQ(one["protocol"], "UDP");
  EXPECT_EQ(shown["sampledOneIn"], 1);
}

TEST_F(SelectionsTest, TheMonitorsFiltersAreForThemToo) {
  EXPECT_FALSE(monitoredAny({"--cluster", "dns", "--service", kDns})["selections"].empty());
  EXPECT_TRUE(monitored({"--cluster", "web"})["selections"].empty());
  EXPECT_TRUE(monitored({"--service", kVip})["selections"].empty());
  EXPECT_TRUE(monitored({"--client", "pod:1"})["selections"].empty());
  EXPECT_TRUE(monitored({"--pod", "7b1"})["selections"].empty());
  EXPECT_TRUE(monitored({"--event", "refused"})["selections"].empty());
}

class TimedSelections : public SelectionsTest {
 protected:
  TimedSelections() { oneInTimed_ = 1; }
};

TEST_F(TimedSelections, EachIsCountedOnceWithItsTime) {
  select(50);
  EXPECT_TRUE(connectTo(at(kVip)));
  EXPECT_FALSE(connectTo(at(kEmpty)));
  EXPECT_EQ(timed(), 51U) << "a connection to no endpoint is no selection";
  EXPECT_GT(times().sum_ns, 51U * 10);
  const auto collector = std::make_shared<DatapathCollector>(
      [this] { return readDatapathStats(sandbox_->bpffs()); }, DatapathMetricsOptions{});
  EXPECT_THAT(expose({collector}), HasSubstr("sockmesh_selection_duration_seconds_count 51\n"));
  EXPECT_EQ(globals().selections, 0U) << "nobody watches";
}

TEST_F(TimedSelections, AnotherSettingCountsFromTheNextStartOn) {
  oneInTimed_ = 0;
  open();
  select(50);
  EXPECT_LE(timed(), 1U) << "the first one lowers the bound";
  EXPECT_EQ(sampleBelow(), 0U);
}

TEST_F(TimedSelections, AWatcherOfFewLeavesTheTimesAsTheyAre) {
  const auto watching = watch(4'000'000'000);
  select(50);
  EXPECT_EQ(timed(), 50U);
  EXPECT_LT(seen(*watching).selections.size(), 3U);
}

}  // namespace
}  // namespace sockmesh::test
