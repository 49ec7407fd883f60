// SPDX-License-Identifier: Apache-2.0
// Tables are those of the newest snapshot and ejections, however many of them were skipped on the
// way, and one set is under way at a time.
#include "daemon/table_maker.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <utility>

#include "unit/lb/random_history.h"

namespace sockmesh {
namespace {

using test::RandomHistory;

template <typename Map>
bool sameEntries(const Map& a, const Map& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) {
    return x.first == y.first && *x.second == *y.second;
  });
}

std::shared_ptr<const Snapshot> snapshotOf(const RandomHistory& history, Changes changed) {
  auto made = std::make_shared<Snapshot>(history.snapshot());
  made->complete = true;
  made->changed = std::move(changed);
  return made;
}

// Tells the maker of random steps: some in one turn, some while tables are under way.
class Story {
 public:
  explicit Story(std::uint32_t seed) : history_(seed), random_(seed) {}

  void run(int turns) {
    turns_ = turns;
    loop_->post([this] { next(); });
    loop_->run();
  }
  std::uint32_t compared() const { return compared_; }

 private:
  void next() {
    if (turns_-- == 0) return loop_->stop();
    for (std::uint32_t i = 0; i < 1 + random_() % 3; ++i) step();
    if (underWay_ && random_() % 2 == 0) {
      underWay_ = false;
      maker_.taken();
    }
    loop_->post([this] { next(); });
  }

  void step() {
    Changes changed = history_.step();
    const bool ejected = !(history_.overlay() == overlay_);
    // Ejections are in the history's changes by cluster. The maker finds them by itself.
    maker_.setSnapshot(snapshotOf(history_, ejected ? Changes() : std::move(changed)));
    if (!ejected) return;
    overlay_ = history_.overlay();
    maker_.setOverlay(std::make_shared<const HealthOverlay>(overlay_));
  }

  void onTables(const MadeTables& made) {
    EXPECT_FALSE(std::exchange(underWay_, true)) << "one at a time";
    EXPECT_TRUE(made.changedAt);
    const auto fresh = Compiler({}).compile(*made.snapshot, overlay_, std::chrono::seconds(1));
    EXPECT_TRUE(sameEntries(made.tables->services, fresh->services));
    EXPECT_TRUE(sameEntries(made.tables->clusters, fresh->clusters));
    for (const auto& [name, cluster] : made.tables->clusters) {
      const auto before = last_.find(name);
      const bool same = before != last_.end() && before->second == cluster;
      EXPECT_TRUE(same || made.clusters.contains(name)) << name;
    }
    for (const auto& [name, cluster] : last_) {
      const bool gone = !made.tables->clusters.contains(name);
      EXPECT_TRUE(!gone || made.clusters.contains(name)) << name;
    }
    last_ = made.tables->clusters;
    ++compared_;
  }

  std::unique_ptr<EventLoop> loop_ = std::move(EventLoop::create()).value();
  TableMaker maker_{*loop_, CompilerOptions{}, [this](const MadeTables& made) { onTables(made); }};
  RandomHistory history_;
  std::mt19937 random_;
  HealthOverlay overlay_;
  LbTables::Clusters last_;
  int turns_ = 0;
  bool underWay_ = false;
  std::uint32_t compared_ = 0;
};

TEST(TableMaker, NothingThatIsSkippedIsLost) {
  for (std::uint32_t seed = 0; seed < 10; ++seed) {
    SCOPED_TRACE(seed);
    Story story(seed);
    story.run(100);
    EXPECT_GT(story.compared(), 20U);
  }
}

TEST(TableMaker, SaysWhatToExpectBeforeTheFirstTables) {
  auto loop = std::move(EventLoop::create()).value();
  std::vector<std::pair<std::size_t, std::size_t>> expected;
  TableMaker maker(
      *loop, {}, [](const MadeTables&) {},
      [&](const ExpectedSize& size) { expected.emplace_back(size.clusters, size.endpoints); });
  auto assignment = std::make_shared<LoadAssignment>();
  assignment->localities.emplace_back().endpoints.resize(3);
  auto snapshot = std::make_shared<Snapshot>();
  snapshot->clusters["a"] = std::make_shared<const Cluster>();
  snapshot->clusters["b"] = std::make_shared<const Cluster>();
  maker.setSnapshot(snapshot);
  EXPECT_TRUE(expected.empty()) << "the number of endpoints is not known";
  auto more = std::make_shared<Snapshot>(*snapshot);
  more->assignments["a"] = assignment;
  more->changed.assignments = {"a"};
  maker.setSnapshot(more);
  ASSERT_EQ(expected.size(), 1u);
  EXPECT_EQ(expected[0], std::pair(std::size_t{2}, std::size_t{3}));
  auto complete = std::make_shared<Snapshot>(*more);
  complete->complete = true;
  maker.setSnapshot(complete);
  EXPECT_EQ(expected.size(), 1u) << "the tables say it";
}

TEST(TableMaker, WaitsForACompleteSnapshot) {
  auto loop = std::move(EventLoop::create()).value();
  int made = 0;
  TableMaker maker(*loop, {}, [&](const MadeTables&) { ++made; });
  maker.setOverlay(std::make_shared<const HealthOverlay>());
  maker.setSnapshot(std::make_shared<const Snapshot>());
  loop->post([&] {
    EXPECT_EQ(made, 0);
    auto complete = std::make_shared<Snapshot>();
    complete->complete = true;
    maker.setSnapshot(complete);
    loop->post([&] { loop->stop(); });
  });
  loop->run();
  EXPECT_EQ(made, 1);
}

}  // namespace
}  // namespace sockmesh
