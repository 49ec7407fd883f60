// SPDX-License-Identifier: Apache-2.0
#include "base/rotated_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace sockmesh {
namespace {

class RotatedFileTest : public ::testing::Test {
 protected:
  RotatedFileTest() {
    folder_ = ::testing::TempDir() + "sockmesh-rotated-XXXXXX";
    EXPECT_NE(mkdtemp(folder_.data()), nullptr);
    path_ = folder_ + "/below/log";
  }
  ~RotatedFileTest() override { std::filesystem::remove_all(folder_); }

  std::string text(std::uint32_t number) const {
    std::stringstream all;
    all << std::ifstream(RotatedFile::pathOf(path_, number)).rdbuf();
    return all.str();
  }

  std::string folder_;
  std::string path_;
};

TEST_F(RotatedFileTest, AFullFileIsRenamedAndTheOldestIsRemoved) {
  RotatedFile file(path_, 10, 3);
  for (const char* line : {"1111", "2222", "3333", "4444", "5555", "6666", "7777"}) {
    ASSERT_TRUE(file.append(line)) << line;
  }
  EXPECT_EQ(text(0), "7777\n");
  EXPECT_EQ(text(1), "5555\n6666\n");
  EXPECT_EQ(text(2), "3333\n4444\n");
  EXPECT_FALSE(std::filesystem::exists(RotatedFile::pathOf(path_, 3)));
}

TEST_F(RotatedFileTest, OneFileIsBegunAnewWhenItIsFull) {
  RotatedFile file(path_, 10, 1);
  for (const char* line : {"1111", "2222", "3333"}) ASSERT_TRUE(file.append(line));
  EXPECT_EQ(text(0), "3333\n");
  EXPECT_FALSE(std::filesystem::exists(path_ + ".1"));
}

TEST_F(RotatedFileTest, ALongLineHasAFileForItself) {
  RotatedFile file(path_, 10, 2);
  ASSERT_TRUE(file.append("1"));
  ASSERT_TRUE(file.append("longer than a file"));
  ASSERT_TRUE(file.append("2"));
  EXPECT_EQ(text(0), "2\n");
  EXPECT_EQ(text(1), "longer than a file\n");
}

TEST_F(RotatedFileTest, AfterALineWhoseWriterDiedThereIsANewLine) {
  std::filesystem::create_directory(folder_ + "/below");
  std::ofstream(path_) << "hal";
  ASSERT_TRUE(RotatedFile(path_, 100, 2).append("whole"));
  EXPECT_EQ(text(0), "hal\nwhole\n");
}

TEST_F(RotatedFileTest, OnlyTheOwnerReadsIt) {
  ASSERT_TRUE(RotatedFile(path_, 100, 2).append("line"));
  struct stat facts {};
  ASSERT_EQ(stat(path_.c_str(), &facts), 0);
  EXPECT_EQ(facts.st_mode & 0777U, 0600U);
}

TEST_F(RotatedFileTest, AFullDiskIsAnErrorAndNothingElse) {
  RotatedFile file("/dev/full", 1000, 2);
  const Status written = file.append("line");
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().errnum(), ENOSPC) << written.error().message();
}

TEST_F(RotatedFileTest, APathThatCannotBeIsAnErrorWithItsName) {
  std::ofstream(folder_ + "/file") << "x";
  const Status written = RotatedFile(folder_ + "/file/log", 1000, 2).append("line");
  ASSERT_FALSE(written);
  EXPECT_NE(written.error().message().find("/file/log"), std::string::npos);
}

}  // namespace
}  // namespace sockmesh
