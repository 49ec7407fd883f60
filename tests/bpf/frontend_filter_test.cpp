// SPDX-License-Identifier: Apache-2.0
// The filter in front of the frontends: it hides no VIP, whatever happens to its neighbours and to
// the agent, and it is clean when no VIP needs it.
#include <bit>

#include "maps/frontend_filter.h"
#include "support/datapath_test.h"

namespace sockmesh::test {
namespace {

// Two VIPs with one bit.
const char* const kOne = "10.96.123.16:80";
const char* const kOther = "10.97.0.0:80";

class FrontendFilterTest : public DatapathTest {
 protected:
  void SetUp() override {
    DatapathTest::SetUp();
    listener_ = std::move(listenOn(backend_)).value();
  }
  void serve(const std::vector<std::string>& vips) {
    TableBuilder tables;
    for (const std::string& vip : vips) tables.service(vip, "a", {backend_.toString()});
    apply(tables);
  }
  static FilterPlace placeOf(const std::string& vip) {
    return filterPlace({at(vip), Protocol::kTcp});
  }
  std::uint64_t& word(const std::string& vip) {
    return datapath_->maps().frontendFilter[placeOf(vip).word];
  }
  int bitsSet() {
    int set = 0;
    for (std::uint32_t i = 0; i < SM_FILTER_WORDS; ++i) {
      set += std::popcount(datapath_->maps().frontendFilter[i]);
    }
    return set;
  }
  void expectServed(const std::string& vip, bool mapped = false) {
    const auto client = connectTo(at(vip), mapped);
    ASSERT_TRUE(client) << vip << ": " << client.error().message();
    EXPECT_EQ(acceptedAt(listener_), backend_);
    EXPECT_EQ(peerOf(client->get()), at(vip));
  }

  SocketAddress backend_ = at("127.0.0.2:0");
  UniqueFd listener_;
};

TEST_F(FrontendFilterTest, EveryVipPassesInEachWayToNameIt) {
  serve({"10.96.0.1:80", "[fd00::1]:80", "[fd00::1]:443"});
  EXPECT_EQ(bitsSet(), 3);
  expectServed("10.96.0.1:80");
  expectServed("10.96.0.1:80", true);
  expectServed("[fd00::1]:80");
  expectServed("[fd00::1]:443");
}

TEST_F(FrontendFilterTest, AVipStaysWhenTheOtherOneOfItsBitGoes) {
  ASSERT_EQ(placeOf(kOne).word, placeOf(kOther).word);
  ASSERT_EQ(placeOf(kOne).bit, placeOf(kOther).bit);
  serve({kOne, kOther});
  EXPECT_EQ(bitsSet(), 1);
  serve({kOther});
  expectServed(kOther);
  serve({});
  EXPECT_EQ(bitsSet(), 0);
  serve({kOne});
  expectServed(kOne);
}

TEST_F(FrontendFilterTest, TheCountOutlivesTheAgent) {
  serve({kOne, kOther});
  open();
  serve({kOne});
  expectServed(kOne);
  open();
  expectServed(kOne);
  serve({});
  EXPECT_EQ(bitsSet(), 0);
}

// An agent that is killed between a bit and its frontend leaves the bit.
TEST_F(FrontendFilterTest, BitsOfNobodyEndWithTheNextAgent) {
  serve({kOne});
  word("10.96.7.7:80") |= 1ULL << placeOf("10.96.7.7:80").bit;
  expectServed(kOne);
  open();
  EXPECT_EQ(bitsSet(), 1);
  expectServed(kOne);
}

// What could not be added leaves no bit, and takes none away.
TEST_F(FrontendFilterTest, AFrontendThatIsThereAlreadyIsCountedOnce) {
  serve({kOne});
  const VipKey key{at(kOne), Protocol::kTcp};
  EXPECT_FALSE(store_->insertFrontend(key, 7));
  expectServed(kOne);
  EXPECT_TRUE(store_->eraseFrontend({at(kOther), Protocol::kTcp}));
  expectServed(kOne);
  serve({});
  EXPECT_EQ(bitsSet(), 0);
}

}  // namespace
}  // namespace sockmesh::test
