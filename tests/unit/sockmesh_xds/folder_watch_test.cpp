// SPDX-License-Identifier: Apache-2.0
#include "folder_watch.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <fstream>

namespace sockmesh {
namespace {

namespace fs = std::filesystem;

// A folder below a folder of its own, so that it can be swapped as a whole.
class FolderWatchTest : public ::testing::Test {
 protected:
  FolderWatchTest() {
    std::string name = (fs::temp_directory_path() / "sockmesh-XXXXXX").native();
    root_ = ::mkdtemp(name.data());
    folder_ = root_ / "config";
    fs::create_directory(folder_);
  }
  ~FolderWatchTest() override { fs::remove_all(root_); }

  static void write(const fs::path& path, const std::string& text) { std::ofstream(path) << text; }

  // Whether `change` is noticed. A loop runs only once, so each call has its own loop. Earlier
  // changes count as known.
  template <typename Change>
  bool noticed(Change change) {
    auto loop = std::move(EventLoop::create()).value();
    bool called = false;
    const auto watch = FolderWatch::start(*loop, folder_, [&](const Status&) {
      called = true;
      loop->stop();
    });
    EXPECT_TRUE(watch);
    loop->after(3 * FolderWatch::kQuietTime, [&] { loop->stop(); });
    change();
    loop->run();
    return called;
  }

  fs::path root_;
  fs::path folder_;
};

TEST_F(FolderWatchTest, AWrittenAMovedAndARemovedFile) {
  EXPECT_TRUE(noticed([&] { write(folder_ / "a.yaml", "x"); }));
  write(root_ / "a.tmp", "y");
  EXPECT_TRUE(noticed([&] { fs::rename(root_ / "a.tmp", folder_ / "a.yaml"); }));
  EXPECT_TRUE(noticed([&] { fs::remove(folder_ / "a.yaml"); }));
}

TEST_F(FolderWatchTest, AFileInASubfolder) {
  fs::create_directory(folder_ / "sub");
  EXPECT_TRUE(noticed([&] { write(folder_ / "sub" / "a.yaml", "x"); }));
}

TEST_F(FolderWatchTest, ConfigMapsSwapASymbolicLink) {
  fs::create_directory(folder_ / "..2026_1");
  fs::create_directory(folder_ / "..2026_2");
  fs::create_symlink("..2026_1", folder_ / "..data");
  EXPECT_TRUE(noticed([&] {
    fs::create_symlink("..2026_2", folder_ / "..data_tmp");
    fs::rename(folder_ / "..data_tmp", folder_ / "..data");
  }));
}

TEST_F(FolderWatchTest, TheFolderItselfIsPutInAnothersPlace) {
  fs::create_directory(root_ / "next");
  EXPECT_TRUE(noticed([&] {
    fs::rename(folder_, root_ / "previous");
    fs::rename(root_ / "next", folder_);
  }));
}

TEST_F(FolderWatchTest, NeighboursOfTheFolderAreNoChange) {
  EXPECT_FALSE(noticed([&] { write(root_ / "other.yaml", "x"); }));
}

TEST_F(FolderWatchTest, ASubfolderThatComesLaterIsWatchedToo) {
  auto loop = std::move(EventLoop::create()).value();
  int changes = 0;
  const auto watch = FolderWatch::start(*loop, folder_, [&](const Status&) {
    if (++changes == 1) write(folder_ / "late" / "a.yaml", "x");
    if (changes == 2) loop->stop();
  });
  ASSERT_TRUE(watch);
  loop->after(std::chrono::seconds(5), [&] { loop->stop(); });
  fs::create_directory(folder_ / "late");
  loop->run();
  EXPECT_EQ(changes, 2);
}

TEST_F(FolderWatchTest, AFolderThatIsNotThereIsAnError) {
  auto loop = std::move(EventLoop::create()).value();
  const auto watch = FolderWatch::start(*loop, root_ / "nowhere", [](const Status&) {});
  ASSERT_FALSE(watch);
  EXPECT_NE(watch.error().message().find("nowhere"), std::string::npos);
}

}  // namespace
}  // namespace sockmesh
