// SPDX-License-Identifier: Apache-2.0
// What one agent held is what the next one begins with.
#include "store/resource_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "store/cache_file.h"
#include "unit/decode/resources.h"
#include "unit/store/missing.h"

namespace sockmesh {
namespace {

using namespace xds_test;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

// A store with its cache. The file is written at the latest when it ends.
struct Agent {
  explicit Agent(const std::string& path, const std::string& view = "shop")
      : cache(store, {.path = path, .view = view, .window = Nanos(0)},
              [this](const std::string& what) { problem = what; }) {}

  ResourceStore store;
  std::string problem;
  ResourceCache cache;
};

class ResourceCacheTest : public ::testing::Test {
 protected:
  ResourceCacheTest() {
    folder_ = ::testing::TempDir() + "sockmesh-cache-XXXXXX";
    EXPECT_NE(mkdtemp(folder_.data()), nullptr);
    path_ = folder_ + "/resources";
  }
  ~ResourceCacheTest() override { std::filesystem::remove_all(folder_); }

  // An agent that held a cluster with endpoints and a listener.
  void fill() {
    Agent agent(path_);
    agent.store.apply(updateOf(cds(edsCluster("a"), edsCluster("b"))));
    agent.store.apply(updateOf(eds(assignment("a", 81))));
    agent.store.apply(updateOf(lds(listenerTo({"a"}, "l", "10.0.0.1"))));
  }

  std::string folder_;
  std::string path_;
};

TEST_F(ResourceCacheTest, TheNextAgentBeginsWithWhatWasHeld) {
  EXPECT_FALSE(Agent(path_).cache.restored().writtenAt.has_value());
  fill();
  Agent next(path_);
  EXPECT_EQ(next.cache.restored().problem, "");
  ASSERT_TRUE(next.cache.restored().writtenAt.has_value());
  const auto snapshot = next.store.snapshot();
  EXPECT_TRUE(snapshot->complete);
  EXPECT_THAT(namesOf(snapshot->clusters), ElementsAre("a", "b"));
  EXPECT_THAT(namesOf(snapshot->listeners), ElementsAre("l"));
  EXPECT_EQ(snapshot->assignments.at("a")->localities[0].endpoints[0].address.port, 81);
  EXPECT_THAT(missingEndpoints(next.store), ElementsAre(Pair("b", ::testing::_)));
}

TEST_F(ResourceCacheTest, VersionsAreKeptSoThatAServerSendsTheDifference) {
  {
    Agent agent(path_);
    Resource wrapped = wrap("a", edsCluster("a"));
    wrapped.set_version("7");
    agent.store.apply(updateOf(cds(wrapped)));
    wrapped.set_version("8");
    agent.store.apply(updateOf(cds(wrapped)));
  }
  Agent next(path_);
  EXPECT_THAT(next.store.versions(*findResourceType(kClusterType)), ElementsAre(Pair("a", "8")));
}

TEST_F(ResourceCacheTest, WhatWasRemovedOrIsWantedNoMoreDoesNotComeBack) {
  fill();
  {
    Agent agent(path_);
    agent.store.apply(updateOf(lds()));
    agent.store.apply(updateOf(cds(edsCluster("b"))));
  }
  Agent next(path_);
  EXPECT_THAT(namesOf(next.store.snapshot()->clusters), ElementsAre("b"));
  EXPECT_THAT(next.store.snapshot()->assignments, IsEmpty());
  const auto file = readCacheFile(path_);
  ASSERT_TRUE(file);
  EXPECT_EQ(file->types_size(), 1) << "nothing else is left in the file";
}

TEST_F(ResourceCacheTest, ARefusedVersionIsNotKept) {
  fill();
  {
    Agent agent(path_);
    agent.store.apply(updateOf(cds(badCluster("a"), edsCluster("b"))));
  }
  Agent next(path_);
  EXPECT_EQ(next.cache.restored().problem, "");
  EXPECT_TRUE(next.store.snapshot()->clusters.contains("a"));
}

TEST_F(ResourceCacheTest, ATtlGoesOnWhileNoAgentRuns) {
  {
    Agent agent(path_);
    Resource soon = wrap("soon", edsCluster("soon"));
    soon.mutable_ttl()->set_nanos(1);
    Resource later = wrap("later", edsCluster("later"));
    later.mutable_ttl()->set_seconds(3600);
    agent.store.apply(updateOf(cds(soon, later)), SystemClock().monotonic());
  }
  Agent next(path_);
  EXPECT_THAT(namesOf(next.store.snapshot()->clusters), ElementsAre("later"));
  ASSERT_TRUE(next.store.nextExpiry().has_value());
  EXPECT_LE(*next.store.nextExpiry() - SystemClock().monotonic(), std::chrono::hours(1));
}

TEST_F(ResourceCacheTest, ADamagedFileIsReportedIgnoredAndReplaced) {
  fill();
  std::filesystem::resize_file(path_, std::filesystem::file_size(path_) - 1);
  {
    Agent agent(path_);
    EXPECT_EQ(agent.cache.restored().problem, path_ + ": is truncated");
    EXPECT_FALSE(agent.cache.restored().writtenAt.has_value());
    EXPECT_THAT(agent.store.snapshot()->clusters, IsEmpty());
    agent.store.apply(updateOf(cds(edsCluster("new"))));
  }
  Agent next(path_);
  EXPECT_EQ(next.cache.restored().problem, "");
  EXPECT_THAT(namesOf(next.store.snapshot()->clusters), ElementsAre("new"));
}

TEST_F(ResourceCacheTest, AnotherNamespacesViewIsNotUsed) {
  fill();
  Agent next(path_, "bank");
  EXPECT_THAT(next.cache.restored().problem, HasSubstr("is of the view \"shop\", not \"bank\""));
  EXPECT_THAT(next.store.snapshot()->clusters, IsEmpty());
}

TEST_F(ResourceCacheTest, AFileThatCannotBeWrittenIsReported) {
  std::ofstream(folder_ + "/file") << "";
  std::string problem;
  {
    ResourceStore store;
    const ResourceCache cache(store,
                              {.path = folder_ + "/file/resources", .view = "", .window = Nanos(0)},
                              [&](const std::string& what) { problem = what; });
    store.apply(updateOf(cds(edsCluster("a"))));
  }
  EXPECT_THAT(problem, HasSubstr("Not a directory"));
}

}  // namespace
}  // namespace sockmesh
