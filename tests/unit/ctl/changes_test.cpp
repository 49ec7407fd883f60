// SPDX-License-Identifier: Apache-2.0
#include "changes.h"

#include <gtest/gtest.h>

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
