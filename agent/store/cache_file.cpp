// SPDX-License-Identifier: Apache-2.0
#include "store/cache_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <string_view>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/unique_fd.h"
#include "base/write_all.h"

namespace sockmesh {
namespace {

constexpr std::string_view kMagic = "SMCACHE\n";
constexpr std::uint32_t kFormat = 1;

// All numbers are little-endian.
struct Header {
  std::array<char, 8> magic{};
  std::uint32_t format = 0;
  std::uint32_t reserved = 0;
  std::uint64_t length = 0;    // of what follows the header
  std::uint64_t checksum = 0;  // of what follows the header, seeded with format and length
};
static_assert(sizeof(Header) == 32);

std::uint64_t checksumOf(std::string_view content, std::uint32_t format) {
  return XXH3_64bits_withSeed(content.data(), content.size(),
                              (std::uint64_t{format} << 48U) ^ content.size());
}

Status writeNew(const std::string& path, const Header& header, std::string_view content) {
  // The configuration of a mesh is nobody else's business.
  const UniqueFd file(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!file.valid()) return Error::fromErrno(path, errno);
  std::array<char, sizeof(Header)> head{};
  std::memcpy(head.data(), &header, head.size());
  if (auto ok = writeAll(file.get(), {head.data(), head.size()}); !ok) return ok.error().in(path);
  if (auto ok = writeAll(file.get(), content); !ok) return ok.error().in(path);
  if (fsync(file.get()) != 0) return Error::fromErrno(path, errno);
  return {};
}

void syncFolder(const std::string& folder) {
  const UniqueFd fd(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd.valid()) fsync(fd.get());
}

Result<std::string> readWhole(const std::string& path) {
  const UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.valid()) return Error::fromErrno(path, errno);
  std::string bytes;
  std::array<char, 65536> buffer{};
  while (true) {
    const ssize_t got = read(file.get(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Error::fromErrno(path, errno);
    if (got == 0) return bytes;
    bytes.append(buffer.data(), static_cast<std::size_t>(got));
  }
}

}  // namespace

Status writeCacheFile(const std::string& path, const sockmesh::cache::v1::Configuration& content) {
  const std::string bytes = content.SerializeAsString();
  Header header;
  std::memcpy(header.magic.data(), kMagic.data(), header.magic.size());
  header.format = kFormat;
  header.length = bytes.size();
  header.checksum = checksumOf(bytes, kFormat);
  const std::string folder = std::filesystem::path(path).parent_path().native();
  std::error_code ignored;  // what it hinders is reported below
  if (!folder.empty()) std::filesystem::create_directories(folder, ignored);
  const std::string fresh = path + ".new";
  if (auto ok = writeNew(fresh, header, bytes); !ok) return ok;
  if (rename(fresh.c_str(), path.c_str()) != 0) return Error::fromErrno(path, errno);
  syncFolder(folder.empty() ? "." : folder);
  return {};
}

Result<sockmesh::cache::v1::Configuration> readCacheFile(const std::string& path) {
  auto bytes = readWhole(path);
  if (!bytes) return bytes.error();
  const std::string_view all = *bytes;
  Header header;
  if (all.size() < sizeof(header)) return Error(path + ": is truncated");
  std::memcpy(&header, all.data(), sizeof(header));
  if (std::string_view(header.magic.data(), header.magic.size()) != kMagic) {
    return Error(path + ": is no cache of sockmeshd");
  }
  if (header.format != kFormat || header.reserved != 0) {
    return Error(path + ": has format " + std::to_string(header.format) + ", this sockmeshd has " +
                 std::to_string(kFormat));
  }
  const std::string_view content = all.substr(sizeof(header));
  if (content.size() < header.length) return Error(path + ": is truncated");
  if (content.size() > header.length) return Error(path + ": is longer than its header says");
  if (checksumOf(content, header.format) != header.checksum) {
    return Error(path + ": is damaged: its checksum is wrong");
  }
  sockmesh::cache::v1::Configuration configuration;
  if (!configuration.ParseFromArray(content.data(), static_cast<int>(content.size()))) {
    return Error(path + ": is damaged: it cannot be decoded");
  }
  return configuration;
}

}  // namespace sockmesh
