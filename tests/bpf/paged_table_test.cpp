// SPDX-License-Identifier: Apache-2.0
// Pages of tables: many at once, ahead of need, and none where one fails.
#include <bpf/bpf.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "maps/paged_table.h"
#include "maps/pin_path.h"
#include "support/datapath_test.h"
#include "support/eventually.h"

namespace sockmesh::test {
namespace {

using Clock = std::chrono::steady_clock;

class PagedTables : public DatapathTest {
 protected:
  static constexpr std::uint32_t kEntries = 1U << SM_ENDPOINT_PAGE_BITS;
  // A service of this many endpoints.
  static std::vector<std::string> endpoints(std::uint32_t count) {
    std::vector<std::string> out;
    for (std::uint32_t i = 0; i < count; ++i) {
      out.push_back("10.0." + std::to_string(i >> 8) + "." + std::to_string(i & 255) + ":80");
    }
    return out;
  }
};

TEST_F(PagedTables, AllPagesThatAnUpdateNeedsAreMadeAtOnce) {
  constexpr std::uint32_t kPages = 40;
  const auto began = Clock::now();
  apply(TableBuilder().service("10.96.0.1:80", "a", endpoints(kPages * kEntries)));
  const auto took = Clock::now() - began;
  EXPECT_GT(datapath_->maps().endpoints.pages().size(), kPages);
  // 3 tables of 40 pages, at 8 ms and more each if one by one.
  std::printf("%u endpoints in %.0f ms\n", kPages * kEntries,
              std::chrono::duration<double, std::milli>(took).count());
  open();
  EXPECT_EQ(image().endpoints.size(), kPages * kEntries) << "all pages are pinned";
}

// Others have their turns while very many pages are taken.
TEST_F(PagedTables, NoStepGrowsWithTheNumberOfPages) {
  constexpr std::uint32_t kPages = 200;
  const std::string maps = PinPath(sandbox_->bpffs()).maps();
  auto table = PagedTable<sm_endpoint, SM_ENDPOINT_PAGE_BITS>::open(
      maps, "endpoints", UniqueFd(bpf_obj_get((maps + "/endpoints").c_str())),
      MapAccess::kReadWrite);
  ASSERT_TRUE(table) << table.error().message();
  std::size_t entered = 0;
  std::size_t mostAtOnce = 0;
  Breather breathe(Nanos(0), [&] {
    mostAtOnce = std::max(mostAtOnce, table->pages().size() - entered);
    entered = table->pages().size();
  });
  ASSERT_TRUE(table->reserve(kPages * kEntries, breathe));
  EXPECT_GE(table->pages().size(), kPages);
  EXPECT_GT(entered, kPages / 2) << "paused to the end";
  EXPECT_LE(mostAtOnce, 16U);
}

TEST_F(PagedTables, TheNextPageIsThereBeforeItIsNeeded) {
  apply(TableBuilder().service("10.96.0.1:80", "a", endpoints(kEntries * 3 / 4)));
  // The programs' table has it; the writer takes it when it needs it.
  const UniqueFd outer(bpf_obj_get((PinPath(sandbox_->bpffs()).maps() + "/endpoints").c_str()));
  const std::uint32_t second = 1;
  std::uint32_t page = 0;
  EXPECT_TRUE(eventually(
      [&] { return bpf_map_lookup_elem(outer.get(), &second, &page) == 0 && page != 0; }));
  EXPECT_EQ(datapath_->maps().endpoints.pages().size(), 1u);
  apply(TableBuilder().service("10.96.0.1:80", "a", endpoints(kEntries * 5 / 4)));
  std::uint32_t again = 0;
  EXPECT_EQ(bpf_map_lookup_elem(outer.get(), &second, &again), 0);
  EXPECT_EQ(again, page) << "the same one";
  EXPECT_EQ(image().endpoints.size(), kEntries * 5 / 4);
}

// A page that was made ahead of need and never used is found by the next agent.
TEST_F(PagedTables, ARestartFindsPagesMadeAhead) {
  apply(TableBuilder().service("10.96.0.1:80", "a", endpoints(kEntries * 3 / 4)));
  open();
  EXPECT_LE(datapath_->maps().endpoints.pages().size(), 2u);
  apply(TableBuilder().service("10.96.0.1:80", "a", endpoints(kEntries * 5 / 4)));
  EXPECT_EQ(image().endpoints.size(), kEntries * 5 / 4);
}

TEST_F(PagedTables, WhereOnePageFailsNoneIsLeft) {
  const std::string maps = PinPath(sandbox_->bpffs()).maps();
  const UniqueFd outer(bpf_obj_get((maps + "/endpoints").c_str()));
  PageFormat wrong;
  wrong.valueSize = 8;  // not what the table was made for
  wrong.entries = 16;
  EXPECT_FALSE(createPages(maps, "endpoints", {5, 6}, outer.get(), wrong));
  for (const std::uint32_t number : {5u, 6u}) {
    std::uint32_t page = 0;
    EXPECT_NE(bpf_map_lookup_elem(outer.get(), &number, &page), 0);
  }
  EXPECT_EQ(openPages(maps, "endpoints").value().count(5), 0u);
}

}  // namespace
}  // namespace sockmesh::test
