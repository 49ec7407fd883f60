// SPDX-License-Identifier: Apache-2.0
#include "store/cache_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace sockmesh {
namespace {

using sockmesh::cache::v1::Configuration;

class CacheFile : public ::testing::Test {
 protected:
  CacheFile() {
    folder_ = ::testing::TempDir() + "sockmesh-cache-XXXXXX";
    EXPECT_NE(mkdtemp(folder_.data()), nullptr);
    path_ = folder_ + "/below/resources";
  }
  ~CacheFile() override { std::filesystem::remove_all(folder_); }

  static Configuration content() {
    Configuration made;
    made.set_written_at_nanos(7);
    made.set_view("shop");
    auto* type = made.add_types();
    type->set_type_url("type");
    auto* resource = type->add_resources();
    resource->set_name("a");
    resource->set_version("v");
    resource->set_content("bytes");
    return made;
  }
  std::string bytes() const {
    std::stringstream all;
    all << std::ifstream(path_, std::ios::binary).rdbuf();
    return all.str();
  }
  void put(const std::string& bytes) const {
    std::ofstream(path_, std::ios::binary | std::ios::trunc) << bytes;
  }
  std::string error() const {
    const auto read = readCacheFile(path_);
    return read ? "" : read.error().message();
  }

  std::string folder_;
  std::string path_;
};

TEST_F(CacheFile, WhatWasWrittenIsRead) {
  ASSERT_TRUE(writeCacheFile(path_, content())) << "the folder is made";
  const auto read = readCacheFile(path_);
  ASSERT_TRUE(read) << read.error().message();
  EXPECT_EQ(read->SerializeAsString(), content().SerializeAsString());
  struct stat status {};
  ASSERT_EQ(stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0600U) << "for the agent alone";
}

TEST_F(CacheFile, NoFileIsToldFromADamagedOne) {
  const auto read = readCacheFile(path_);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().errnum(), ENOENT);
}

TEST_F(CacheFile, AFileThatEndsAtAnyByteIsRefused) {
  ASSERT_TRUE(writeCacheFile(path_, content()));
  const std::string whole = bytes();
  for (std::size_t size = 0; size < whole.size(); ++size) {
    put(whole.substr(0, size));
    EXPECT_EQ(error(), path_ + ": is truncated") << size;
  }
  put(whole + "x");
  EXPECT_EQ(error(), path_ + ": is longer than its header says");
}

TEST_F(CacheFile, AFileWithAnyBitFlippedIsRefused) {
  ASSERT_TRUE(writeCacheFile(path_, content()));
  const std::string whole = bytes();
  for (std::size_t bit = 0; bit < whole.size() * 8; ++bit) {
    std::string flipped = whole;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    put(flipped);
    EXPECT_NE(error(), "") << "bit " << bit;
  }
}

TEST_F(CacheFile, AnotherFormatAndAnotherFileAreNamed) {
  ASSERT_TRUE(writeCacheFile(path_, content()));
  std::string other = bytes();
  other[8] = 2;
  put(other);
  EXPECT_EQ(error(), path_ + ": has format 2, this sockmeshd has 1");
  put(std::string(100, 'x'));
  EXPECT_EQ(error(), path_ + ": is no cache of sockmeshd");
}

TEST_F(CacheFile, AFileThatCannotBeWrittenLeavesTheOldOne) {
  ASSERT_TRUE(writeCacheFile(path_, content()));
  std::filesystem::create_directory(path_ + ".new");  // where the new file would be
  EXPECT_FALSE(writeCacheFile(path_, Configuration()));
  ASSERT_TRUE(readCacheFile(path_));
  EXPECT_EQ(readCacheFile(path_)->view(), "shop");
}

}  // namespace
}  // namespace sockmesh
