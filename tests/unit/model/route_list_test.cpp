// SPDX-License-Identifier: Apache-2.0
#include "model/route_list.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sockmesh {
namespace {

std::shared_ptr<const Listener> part(const std::string& name, const std::string& vip,
                                     VipSource source) {
  auto made = std::make_shared<Listener>();
  made->name = name;
  made->addresses = {SocketAddress::parse(vip).value()};
  made->source = source;
  return made;
}

TEST(RouteList, AVipIsItsOwnersAndTheOthersAreLeftOut) {
  Snapshot snapshot;
  snapshot.listeners["a"] = part("a", "10.0.0.1:80", VipSource::kDomain);
  snapshot.listeners["b"] = part("b", "10.0.0.1:80", VipSource::kAddress);
  snapshot.listeners["c"] = part("c", "10.0.0.1:80", VipSource::kAddress);
  snapshot.listeners["d"] = part("d", "10.0.0.0:80", VipSource::kDomain);
  snapshot.leftAlone["w"] =
      std::make_shared<const LeftAlone>(LeftAlone{"w", "wildcard address 0.0.0.0:80"});
  const RouteList list = routeList(snapshot);
  ASSERT_EQ(list.rows.size(), 2U);
  EXPECT_EQ(list.rows[0].part->name, "d");
  EXPECT_EQ(list.rows[1].part->name, "b") << "its address, and the first by name";
  ASSERT_EQ(list.leftOut.size(), 3U);
  EXPECT_EQ(list.leftOut[0].name, "a");
  EXPECT_EQ(list.leftOut[0].reason, "VIP 10.0.0.1:80 belongs to b");
  EXPECT_EQ(list.leftOut[1].name, "c");
  EXPECT_EQ(list.leftOut[2].name, "w");
}

}  // namespace
}  // namespace sockmesh
