// SPDX-License-Identifier: Apache-2.0
#include "changes.h"

#include <gtest/gtest.h>
#include <netinet/in.h>

#include <cstring>

#include "node_fixture.h"

namespace sockmesh::ctl::test {
namespace {

constexpr const char* kTime = "2026-01-02T03:04:05Z";

// Two seconds after the fixture's node, which had ejected 10.0.0.2.
NodeView later() {
  NodeView node = makeNode();
  node.live.nowNs += 2'000'000'000;
  LiveEndpoint& busy = node.live.endpoints[1];
  busy.stats.selected += 20;
  busy.stats.established += 18;
  busy.stats.failed[SM_FAILURE_REFUSED] += 1;
  busy.stats.sent_bytes += 4096;
  busy.state.ejected_until_ns = node.live.nowNs + 1;
  node.live.endpoints[2].state.ejected_until_ns = 0;
  return node;
}

constexpr const char* kEvents =
    R"(TIME                   CLUSTER      ENDPOINT        EVENT              COUNT
2026-01-02T03:04:05Z   reviews-v1   10.0.0.1:9080   selected              20
2026-01-02T03:04:05Z   reviews-v1   10.0.0.1:9080   established           18
2026-01-02T03:04:05Z   reviews-v1   10.0.0.1:9080   failed (refused)       1
2026-01-02T03:04:05Z   reviews-v1   10.0.0.1:9080   ejected                1
2026-01-02T03:04:05Z   reviews-v1   10.0.0.2:9080   returned               1
)";

TEST(Changes, TheMonitorHasARowForEachThingThatHappened) {
  EXPECT_EQ(shown(monitor(makeNode(), later(), {}, kTime), Format::kTable), kEvents);
  const Json data = std::get<Document>(monitor(makeNode(), later(), {}, kTime)).data;
  EXPECT_EQ(data["items"][2]["event"], "failed");
  EXPECT_EQ(data["items"][2]["reason"], "refused");
  EXPECT_EQ(data["items"][2]["count"], 1);
}

TEST(Changes, NothingHappenedIsNoRow) {
  EXPECT_TRUE(changesBetween(makeNode(), makeNode(), {}).empty());
}

TEST(Changes, FiltersByClusterAndByService) {
  EXPECT_TRUE(changesBetween(makeNode(), later(), {"reviews-v2", std::nullopt}).empty());
  const ChangeFilter vip{"", SocketAddress::parse("10.96.0.10:80").value()};
  EXPECT_EQ(changesBetween(makeNode(), later(), vip).size(), 2u);
  const ChangeFilter other{"", SocketAddress::parse("10.96.0.11:443").value()};
  EXPECT_TRUE(changesBetween(makeNode(), later(), other).empty());
}

TEST(Changes, AnIdThatIsAnotherEndpointsNowCountsFromZero) {
  NodeView node = makeNode();
  node.image.endpoints[1].endpoint.address.port = 1;
  const auto changes = changesBetween(node, makeNode(), {});
  ASSERT_EQ(changes.size(), 1u);
  EXPECT_EQ(changes[0].selected, 20u);
}

// The selection of the fixture, by a pod whose cgroup has a name. The look is half a second later.
NodeView withPod() {
  NodeView node = later();
  node.cgroupPaths[7003] = "/sys/fs/cgroup/kubepods/pod7b1c_22";
  return node;
}

WatchedSelections watched() {
  sm_selection refused = makeSelection();
  refused.at_ns += 250'000'000;
  refused.client = 12;
  refused.endpoint_id = SM_NONE;
  refused.cluster_id = 0;
  refused.policy = SM_POLICY_REFUSE;
  refused.reason = SM_REASON_NO_ENDPOINTS;
  refused.protocol = IPPROTO_UDP;
  refused.kind = SM_SELECTION_FLOW;
  std::strcpy(refused.thread, "\x1b[2J");
  WatchedSelections all;
  all.selections = {makeSelection(), refused};
  all.oneIn = 10;
  // 2026-01-02T03:04:05.000Z, at the fixture's time.
  all.realMinusMonotonicNs = 1'767'323'045'000'000'000 - 1'000'000'000'000;
  return all;
}

constexpr const char* kSelections =
    R"(TIME                       CLUSTER      ENDPOINT        EVENT                    COUNT   VIP                 CLIENT     THREAD     TOOK
2026-01-02T03:04:03.500Z   reviews-v1   10.0.0.1:9080   selection                    1   10.96.0.10:80       pod:7003   curl      0.3us
2026-01-02T03:04:03.750Z   -            -               refused (no_endpoints)       1   10.96.0.10:80/UDP   netns:12   \x1b[2J   0.3us
2026-01-02T03:04:05Z       reviews-v1   10.0.0.1:9080   failed (refused)             1   -                   -          -             -

2026-01-02T03:04:05Z   3 selections were not shown: they came too fast, --sample shows fewer
)";

ChangeFilter only(const std::vector<std::string>& events) {
  ChangeFilter filter;
  filter.events = events;
  return filter;
}

// The events of single selections that pass.
std::vector<std::string> passed(const ChangeFilter& filter) {
  const WatchedSelections all = watched();
  const Json data = std::get<Document>(monitor(makeNode(), withPod(), filter, kTime, &all)).data;
  std::vector<std::string> events;
  for (const Json& one : data["selections"]) events.push_back(one["event"]);
  return events;
}

TEST(Changes, TheMonitorHasARowForEachSelectionThatWasWatched) {
  WatchedSelections all = watched();
  all.lost = 3;
  const ChangeFilter filter = only({"selection", "refused", "failed"});
  const Outcome outcome = monitor(makeNode(), withPod(), filter, kTime, &all);
  EXPECT_EQ(shown(outcome, Format::kTable), kSelections);
  const Json data = std::get<Document>(outcome).data;
  EXPECT_EQ(data["sampledOneIn"], 10);
  EXPECT_EQ(data["selectionsLost"], 3);
  const Json one = data["selections"][0];
  EXPECT_EQ(one["service"], "reviews:80");
  EXPECT_EQ(one["policy"], "ROUND_ROBIN");
  EXPECT_EQ(one["cgroup"], "/sys/fs/cgroup/kubepods/pod7b1c_22");
  EXPECT_EQ(one["tookNs"], 310);
  EXPECT_EQ(data["selections"][1]["by"], "flow");
  EXPECT_EQ(data["selections"][1]["address"], "");
}

TEST(Changes, SelectionsPassTheSameFilters) {
  const std::vector<std::string> both = {"selection", "refused"};
  const std::vector<std::string> first = {"selection"};
  const std::vector<std::string> none;
  EXPECT_EQ(passed({}), both);
  EXPECT_EQ(passed({"reviews-v1", std::nullopt}), first);
  EXPECT_EQ(passed({"", SocketAddress::parse("10.96.0.10:80").value()}), both);
  EXPECT_EQ(passed({"", SocketAddress::parse("10.96.0.11:443").value()}), none);
  EXPECT_EQ(passed(only({"refused"})), std::vector<std::string>{"refused"});
  EXPECT_EQ(passed(only({"failed"})), none);
  ChangeFilter pod;
  pod.pod = "7b1c-22";
  EXPECT_EQ(passed(pod), first);
  ChangeFilter client;
  client.client = "netns:12";
  EXPECT_EQ(passed(client), std::vector<std::string>{"refused"});
  EXPECT_TRUE(std::get<Document>(monitor(makeNode(), later(), client, kTime)).data["items"].empty())
      << "the counters do not know for whom";
}

constexpr const char* kTop =
    R"(ENDPOINT        CLUSTER      SELECTED/S   ESTABLISHED/S   FAILED/S   SENT/S   RECEIVED/S   ACTIVE
10.0.0.1:9080   reviews-v1           10               9        0.5     2KiB           0B        3
10.0.0.2:9080   reviews-v1            0               0          0       0B           0B        0
)";

TEST(Changes, TopIsByTheSecond) {
  EXPECT_EQ(shown(top(makeNode(), later(), {}), Format::kTable), kTop);
}

}  // namespace
}  // namespace sockmesh::ctl::test
