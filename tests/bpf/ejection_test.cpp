// SPDX-License-Identifier: Apache-2.0
// Ejection in the kernel, without an agent: the failure that reaches the threshold takes the
// endpoint out of rotation, under every policy, within the limit, for the ejection's time.
#include <fcntl.h>
#include <sys/socket.h>

#include <array>
#include <atomic>
#include <thread>

#include "inspect/live_state.h"
#include "maps/endpoint_state_reader.h"
#include "support/datapath_test.h"
#include "support/eventually.h"
#include "support/tun_peer.h"
#include "unit/lb/build.h"
#include "writer/ejection_count.h"

namespace sockmesh::test {
namespace {

constexpr auto kBase = std::chrono::milliseconds(300);

// Backends 127.0.3.1 .. 127.0.3.N on one port; each listens or refuses.
class Ejection : public DatapathTest {
 protected:
  void SetUp() override {
    DatapathTest::SetUp();
    SocketAddress any = at("127.0.3.254:0");
    spare_ = std::move(listenOn(any)).value();
    port_ = any.port;
    for (int n = 1; n <= 5; ++n) up(n);
  }

  std::string backend(int n) const {
    return "127.0.3." + std::to_string(n) + ":" + std::to_string(port_);
  }
  std::vector<std::string> backends(int count) const {
    std::vector<std::string> out;
    for (int n = 1; n <= count; ++n) out.push_back(backend(n));
    return out;
  }
  void up(int n) {
    SocketAddress address = at(backend(n));
    listeners_[n] = std::move(listenOn(address)).value();
    fcntl(listeners_[n].get(), F_SETFL, O_NONBLOCK);
  }
  void down(int n) { listeners_[n].reset(); }

  EndpointState line(int n) {
    return readEndpointState(datapath_->maps(), idOf("c", backend(n))).value();
  }
  sm_cluster_state clusterState() {
    return *datapath_->maps().clusterState.at(ids_->clusterId("c"));
  }
  sm_cluster_stats clusterStats() {
    return sumClusterStats(datapath_->maps(), ids_->clusterId("c"));
  }
  std::uint64_t selected(int n) { return statsOf("c", backend(n)).selected; }

  // One connect() to the VIP; its errno, or 0.
  static int connectAlone() {
    const auto socket = tcpSocket();
    return connectErrno(socket.get(), at(kVip));
  }
  // The same, with short queues of the listeners: a full queue drops SYNs.
  int connectOnce() {
    const int error = connectAlone();
    for (const UniqueFd& listener : listeners_) {
      while (listener.valid() &&
             UniqueFd(accept4(listener.get(), nullptr, nullptr, SOCK_NONBLOCK)).valid()) {
      }
    }
    return error;
  }
  // Connects until one more endpoint is ejected. Returns the number of failures; -1: none was
  // ejected.
  int failuresUntilEjection(int limit = 400) {
    const std::uint32_t before = clusterState().ejected;
    int failures = 0;
    for (int i = 0; i < limit; ++i) {
      if (connectOnce() != 0) ++failures;
      if (clusterState().ejected > before) return failures;
    }
    return -1;
  }

  std::uint16_t port_ = 0;
  UniqueFd spare_;
  std::array<UniqueFd, 6> listeners_;
};

struct PolicyCase {
  const char* name;
  LbPolicy policy;
  std::uint32_t firstWeight;  // of the first endpoint
};

class EjectionOfEveryPolicy : public Ejection, public testing::WithParamInterface<PolicyCase> {};

TEST_P(EjectionOfEveryPolicy, TheThirdFailureInARowIsTheLast) {
  Cluster config = cluster("c", GetParam().policy);
  OutlierDetection& detection = config.outlierDetection.emplace();
  detection.consecutive5xx = 3;
  detection.maxEjectionPercent = 100;
  LocalityEndpoints local;
  for (int n = 1; n <= 4; ++n) {
    Endpoint endpoint;
    endpoint.address = at(backend(n));
    endpoint.weight = n == 1 ? GetParam().firstWeight : 1;
    local.endpoints.push_back(endpoint);
  }
  const auto report = writer_->apply(compileLegs({{config, assignment({local}), 1, {}}}));
  ASSERT_TRUE(report.errors.empty()) << report.errors.front();

  down(1);
  ASSERT_EQ(failuresUntilEjection(), 3);
  EXPECT_TRUE(line(1).ejected);
  EXPECT_EQ(line(1).detector, Detector::kConsecutive5xx);
  const std::uint64_t before = selected(1);
  for (int i = 0; i < 300; ++i) ASSERT_EQ(connectOnce(), 0) << i;
  EXPECT_EQ(selected(1), before) << "an ejected endpoint was chosen";
  for (int n = 2; n <= 4; ++n) EXPECT_GT(selected(n), 30u) << "endpoint " << n;
  EXPECT_EQ(clusterStats().ejections_enforced[SM_DETECTOR_CONSECUTIVE_5XX], 1u);
}

INSTANTIATE_TEST_SUITE_P(All, EjectionOfEveryPolicy,
                         testing::Values(PolicyCase{"RoundRobin", LbPolicy::kRoundRobin, 1},
                                         PolicyCase{"RoundRobinWeighted", LbPolicy::kRoundRobin, 5},
                                         PolicyCase{"Random", LbPolicy::kRandom, 1},
                                         PolicyCase{"LeastRequest", LbPolicy::kLeastRequest, 1},
                                         PolicyCase{"LeastRequestWeighted", LbPolicy::kLeastRequest,
                                                    5},
                                         PolicyCase{"Maglev", LbPolicy::kMaglev, 1},
                                         PolicyCase{"RingHash", LbPolicy::kRingHash, 1}),
                         [](const auto& test) { return std::string(test.param.name); });

TEST_F(Ejection, ASuccessEndsTheRun) {
  apply(TableBuilder().service(kVip, "c", backends(1)).ejecting("c", 3, 1));
  for (int round = 0; round < 10; ++round) {
    down(1);
    EXPECT_EQ(connectOnce(), ECONNREFUSED);
    EXPECT_EQ(connectOnce(), ECONNREFUSED);
    up(1);
    EXPECT_EQ(connectOnce(), 0);
  }
  EXPECT_FALSE(line(1).ejected);
  EXPECT_EQ(line(1).failures, 20u);
  EXPECT_EQ(line(1).successes, 10u);
}

TEST_F(Ejection, NoMoreThanTheLimit) {
  apply(TableBuilder().service(kVip, "c", backends(5)).ejecting("c", 3, 2));
  for (const int n : {1, 2, 3}) down(n);
  for (int i = 0; i < 200; ++i) connectOnce();
  EXPECT_EQ(clusterState().ejected, 2u);
  const int out = line(1).ejected + line(2).ejected + line(3).ejected;
  EXPECT_EQ(out, 2) << "and of the failing ones";
  EXPECT_GT(clusterStats().ejections_overflow, 1u) << "the third is detected again and again";
  EXPECT_EQ(clusterStats().ejections_detected[SM_DETECTOR_CONSECUTIVE_5XX],
            2 + clusterStats().ejections_overflow);
}

TEST_F(Ejection, WhereAllAreEjectedTheServiceIsStillTried) {
  apply(TableBuilder().service(kVip, "c", backends(3)).ejecting("c", 2, 3));
  for (const int n : {1, 2, 3}) down(n);
  for (int i = 0; i < 30; ++i) EXPECT_EQ(connectOnce(), ECONNREFUSED);
  EXPECT_EQ(clusterState().ejected, 3u);
  up(2);
  int served = 0;
  for (int i = 0; i < 30; ++i) served += connectOnce() == 0 ? 1 : 0;
  EXPECT_EQ(served, 10) << "all take turns, as in panic";
}

// healthy_panic_threshold 0: Envoy has no host then, and the connection fails at once.
TEST_F(Ejection, WithoutPanicAllEjectedRefuses) {
  Cluster config = cluster("c");
  config.lb.healthyPanicThresholdPercent = 0;
  OutlierDetection& detection = config.outlierDetection.emplace();
  detection.consecutive5xx = 1;
  detection.maxEjectionPercent = 100;
  LocalityEndpoints local;
  for (int n = 1; n <= 3; ++n) {
    Endpoint endpoint;
    endpoint.address = at(backend(n));
    local.endpoints.push_back(endpoint);
    down(n);
  }
  const auto report = writer_->apply(compileLegs({{config, assignment({local}), 1, {}}}));
  ASSERT_TRUE(report.errors.empty()) << report.errors.front();
  for (int i = 0; i < 13; ++i) EXPECT_EQ(connectOnce(), ECONNREFUSED);
  EXPECT_EQ(clusterState().ejected, 3u);
  EXPECT_EQ(clusterStats().refused_no_endpoints, 10u);
  EXPECT_EQ(selected(1) + selected(2) + selected(3), 3u);
}

TEST_F(Ejection, ItReturnsAfterItsTimeAndStaysLongerTheNextTime) {
  apply(TableBuilder().service(kVip, "c", backends(2)).ejecting("c", 2, 1, kBase));
  for (int round = 1; round <= 3; ++round) {
    down(1);
    ASSERT_EQ(failuresUntilEjection(), 2) << round;
    const EndpointState ejected = line(1);
    EXPECT_EQ(ejected.ejectedUntil - ejected.ejectedAt, round * kBase);
    EXPECT_EQ(ejected.ejections, static_cast<std::uint32_t>(round));
    up(1);
    const std::uint64_t before = selected(1);
    ASSERT_TRUE(eventually([&] {
      EXPECT_EQ(connectOnce(), 0);
      return selected(1) > before;
    }));
    const Nanos now = SystemClock().monotonic();
    EXPECT_GE(now, ejected.ejectedUntil);
    EXPECT_FALSE(line(1).ejected) << "its first success took it back";
    EXPECT_EQ(clusterState().ejected, 0u);
  }
}

TEST_F(Ejection, AnEndpointThatIsRemovedNoLongerCounts) {
  apply(TableBuilder().service(kVip, "c", backends(3)).ejecting("c", 2, 1));
  down(1);
  ASSERT_EQ(failuresUntilEjection(), 2);
  apply(TableBuilder().service(kVip, "c", {backend(2), backend(3)}).ejecting("c", 2, 1));
  EXPECT_EQ(clusterState().ejected, 0u);
  down(2);
  EXPECT_EQ(failuresUntilEjection(), 2) << "there is room for another";
}

// SYNs to an endpoint that leaves EDS time out later. This ejects nothing and uses no allowed
// ejection.
TEST_F(Ejection, AWithdrawnEndpointIsNeverEjected) {
  const auto peer = std::move(TunPeer::create()).value();
  const std::string silent = TunPeer::kSilent;
  const auto detecting = [&](std::vector<std::string> endpoints) {
    return TableBuilder()
        .service(kVip, "c", endpoints)
        .ejecting("c", 1, 1, std::chrono::seconds(30), std::chrono::milliseconds(250));
  };
  apply(detecting({silent, backend(2)}));
  std::vector<UniqueFd> waiting;
  while (statsOf("c", silent).selected < 3) {
    waiting.push_back(tcpSocket(false, true));
    connectErrno(waiting.back().get(), at(kVip));
  }
  const std::uint32_t id = idOf("c", silent);
  apply(detecting({backend(1), backend(2)}));
  const auto timedOut = [&] {
    return sumEndpointStats(datapath_->maps(), id).failed[SM_FAILURE_TIMED_OUT];
  };
  ASSERT_TRUE(eventually([&] { return timedOut() == 3; }));
  EXPECT_EQ(clusterState().ejected, 0u);
  EXPECT_FALSE(readEndpointState(datapath_->maps(), id)->ejected);
  down(1);
  ASSERT_EQ(failuresUntilEjection(), 1) << "the next dead one is";
  EXPECT_TRUE(line(1).ejected);

  // The endpoint comes back under its id while its connections wait, and can be ejected again.
  up(1);
  ASSERT_TRUE(datapath_->ejections().uneject(idOf("c", backend(1))).value());
  apply(detecting({silent, backend(2)}));
  ASSERT_EQ(idOf("c", silent), id);
  EXPECT_EQ(datapath_->ejections().detect(id, Detector::kSuccessRate, 100).value(),
            Detection::kEjected);
}

TEST_F(Ejection, AWithdrawnEndpointStaysWithdrawnForTheNextAgent) {
  const auto all = TableBuilder().service(kVip, "c", backends(2)).ejecting("c", 1, 1);
  apply(all);
  const auto client = std::move(connectTo(at(kVip))).value();
  const int used = selected(1) == 1 ? 1 : 2;
  const std::uint32_t id = idOf("c", backend(used));
  const auto less = TableBuilder().service(kVip, "c", {backend(3 - used)}).ejecting("c", 1, 1);
  apply(less);
  open();
  EXPECT_EQ(idOf("c", backend(used)), id) << "a connection holds it";
  EXPECT_EQ(datapath_->ejections().detect(id, Detector::kSuccessRate, 100).value(),
            Detection::kNone);
  apply(less);
  EXPECT_EQ(datapath_->ejections().detect(id, Detector::kSuccessRate, 100).value(),
            Detection::kNone);
  apply(all);
  EXPECT_EQ(idOf("c", backend(used)), id);
  EXPECT_EQ(datapath_->ejections().detect(id, Detector::kSuccessRate, 100).value(),
            Detection::kEjected);
}

// Detections race withdrawals. In either order nothing stays counted.
TEST_F(Ejection, AWithdrawalInTheMiddleOfDetectionsLosesNoCount) {
  const auto with = TableBuilder().service(kVip, "c", backends(3)).ejecting("c", 1, 1);
  const auto without =
      TableBuilder().service(kVip, "c", {backend(1), backend(2)}).ejecting("c", 1, 1);
  apply(with);
  const std::uint32_t id = idOf("c", backend(3));
  std::atomic<bool> done{false};
  std::thread detecting([&, control = datapath_->ejections()] {
    while (!done) {
      [[maybe_unused]] const auto detected = control.detect(id, Detector::kSuccessRate, 100);
    }
  });
  const auto held = std::move(connectTo(at(kVip))).value();
  for (int round = 0; round < 300; ++round) {
    apply(without);
    ASSERT_EQ(clusterState().ejected, 0u) << round;
    apply(with);
    if (idOf("c", backend(3)) != id) break;  // another line, of a fresh endpoint
  }
  done = true;
  detecting.join();
}

// A lost count is found again, and real ejections are not touched.
TEST_F(Ejection, AWrongCountIsPutRight) {
  apply(TableBuilder().service(kVip, "c", backends(4)).ejecting("c", 1, 2));
  down(1);
  ASSERT_EQ(failuresUntilEjection(), 1);
  auto wait = std::move(BlockingGracePeriod::create()).value();
  sm_cluster_state& state = *datapath_->maps().clusterState.at(ids_->clusterId("c"));
  const auto recount = [&] { return recountEjections(datapath_->maps(), *ids_, *wait); };
  EXPECT_TRUE(recount().empty());
  for (const std::uint32_t wrong : {2u, 7u, 0u, ~0u}) {
    state.ejected = wrong;
    EXPECT_EQ(recount().size(), 1u) << wrong;
    EXPECT_EQ(state.ejected, 1u) << wrong;
  }
  down(2);
  EXPECT_EQ(failuresUntilEjection(), 1) << "there is room for one more";
}

// The kernel ejects and unejects meanwhile. A recount never makes the count wrong.
TEST_F(Ejection, ARecountBesideEjectionsLosesNothing) {
  apply(TableBuilder().service(kVip, "c", backends(4)).ejecting("c", 1, 4));
  auto wait = std::move(BlockingGracePeriod::create()).value();
  std::atomic<bool> done{false};
  std::thread busy([&, control = datapath_->ejections()] {
    for (int i = 0; !done; ++i) {
      const std::uint32_t id = idOf("c", backend(1 + i % 4));
      [[maybe_unused]] const auto out = control.detect(id, Detector::kSuccessRate, 100);
      [[maybe_unused]] const auto back = control.uneject(idOf("c", backend(1 + (i + 2) % 4)));
    }
  });
  for (int i = 0; i < 50; ++i) {
    [[maybe_unused]] const auto corrected = recountEjections(datapath_->maps(), *ids_, *wait);
  }
  done = true;
  busy.join();
  [[maybe_unused]] const auto last = recountEjections(datapath_->maps(), *ids_, *wait);
  std::uint32_t ejected = 0;
  for (int n = 1; n <= 4; ++n) ejected += line(n).ejected ? 1 : 0;
  EXPECT_EQ(clusterState().ejected, ejected);
}

TEST_F(Ejection, ANewAgentFindsWhatIsEjected) {
  const auto tables = TableBuilder().service(kVip, "c", backends(3)).ejecting("c", 2, 1);
  apply(tables);
  down(1);
  ASSERT_EQ(failuresUntilEjection(), 2);
  open();
  EXPECT_EQ(apply(tables).writes, 0u);
  EXPECT_TRUE(line(1).ejected);
  const HealthOverlay overlay = readEjections(datapath_->maps(), image());
  ASSERT_NE(overlay.find("c", at(backend(1))), nullptr);
  EXPECT_TRUE(overlay.find("c", at(backend(1)))->ejected);
  EXPECT_EQ(overlay.find("c", at(backend(2))), nullptr);
}

TEST_F(Ejection, TheAgentsOwnDetectorsEjectByTheSameRules) {
  apply(TableBuilder().service(kVip, "c", backends(3)).ejecting("c", 5, 1));
  const EjectionControl control = datapath_->ejections();
  const auto detect = [&](int n, std::uint32_t percent) {
    return control.detect(idOf("c", backend(n)), Detector::kSuccessRate, percent).value();
  };
  EXPECT_EQ(detect(1, 0), Detection::kNotEnforced);
  EXPECT_EQ(detect(1, 100), Detection::kEjected);
  EXPECT_EQ(detect(1, 100), Detection::kNone);
  EXPECT_EQ(detect(2, 100), Detection::kOverflow);
  EXPECT_EQ(line(1).detector, Detector::kSuccessRate);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(connectOnce(), 0);
  EXPECT_EQ(selected(1), 0u);
  EXPECT_TRUE(control.uneject(idOf("c", backend(1))).value());
  EXPECT_FALSE(control.uneject(idOf("c", backend(1))).value());
  EXPECT_EQ(clusterState().ejected, 0u);
  EXPECT_EQ(clusterStats().ejections_detected[SM_DETECTOR_SUCCESS_RATE], 3u);
}

// Two localities behind one split: an ejected host of one is replaced by its neighbours, then by
// the other locality, never by the other leg.
TEST_F(Ejection, OnlyTheSameLegOfASplitStandsIn) {
  const auto leg = [&](const std::string& name, std::vector<std::pair<std::string, int>> hosts) {
    Cluster config = cluster(name, LbPolicy::kLeastRequest);
    config.lb.localityMode = LocalityMode::kLocalityWeighted;
    OutlierDetection& detection = config.outlierDetection.emplace();
    detection.consecutive5xx = 1;
    detection.maxEjectionPercent = 100;
    std::vector<LocalityEndpoints> localities;
    for (const auto& [zone, n] : hosts) {
      LocalityEndpoints one;
      one.locality = Locality{.region = {}, .zone = zone, .subZone = {}};
      one.weight = 1;
      Endpoint endpoint;
      endpoint.address = at(backend(n));
      one.endpoints.push_back(endpoint);
      localities.push_back(one);
    }
    return Leg{config, assignment(localities), 1, {}};
  };
  const auto report =
      writer_->apply(compileLegs({leg("c", {{"a", 1}, {"b", 2}}), leg("d", {{"a", 3}})}));
  ASSERT_TRUE(report.errors.empty()) << report.errors.front();
  down(1);
  ASSERT_EQ(failuresUntilEjection(), 1);
  for (int i = 0; i < 400; ++i) ASSERT_EQ(connectOnce(), 0);
  const auto other = statsOf("d", backend(3)).selected;
  EXPECT_NEAR(static_cast<double>(other), 200, 80) << "half of the connections, as before";
  EXPECT_EQ(selected(1), 1u);
}

// One CPU connects while another one fails. From the ejection on no connection goes there.
TEST_F(Ejection, OnEveryCpuAtOnce) {
  apply(TableBuilder().random(kVip, "c", backends(3)).ejecting("c", 5, 1));
  std::atomic<bool> done{false};
  std::thread other([&] {
    while (!done) connectAlone();
  });
  down(1);
  const bool ejected = eventually([&] {
    connectOnce();
    return clusterState().ejected == 1;
  });
  EXPECT_TRUE(ejected);
  // Connections that were chosen before are over after this many of both.
  for (int i = 0; i < 100; ++i) connectOnce();
  const std::uint64_t before = selected(1);
  for (int i = 0; i < 2000; ++i) connectOnce();
  EXPECT_EQ(selected(1), before);
  done = true;
  other.join();
  EXPECT_EQ(activeOf("c", backend(1)), 0u);
}

}  // namespace
}  // namespace sockmesh::test
