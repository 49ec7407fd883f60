// SPDX-License-Identifier: Apache-2.0
#include "base/rotated_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <utility>

#include "base/unique_fd.h"
#include "base/write_all.h"

namespace sockmesh {
namespace {

UniqueFd openToAppend(const std::string& path) {
  // What a control plane says is nobody else's business.
  return UniqueFd(open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
}

std::uint64_t sizeOf(int fd) {
  struct stat facts {};
  return fstat(fd, &facts) == 0 ? static_cast<std::uint64_t>(facts.st_size) : 0;
}

// Whether the last line is whole. It is not where its writer died.
bool endsWithNewline(int fd, std::uint64_t size) {
  char last = '\n';
  return size == 0 || pread(fd, &last, 1, static_cast<off_t>(size - 1)) != 1 || last == '\n';
}

}  // namespace

RotatedFile::RotatedFile(std::string path, std::uint64_t maxBytes, std::uint32_t maxFiles)
    : path_(std::move(path)), maxBytes_(maxBytes), maxFiles_(maxFiles) {}

std::string RotatedFile::pathOf(const std::string& path, std::uint32_t number) {
  return number == 0 ? path : path + "." + std::to_string(number);
}

Status RotatedFile::rotate() const {
  for (std::uint32_t number = maxFiles_; number-- > 0;) {
    const std::string from = pathOf(path_, number);
    const bool last = number + 1 == maxFiles_;
    const int result =
        last ? unlink(from.c_str()) : rename(from.c_str(), pathOf(path_, number + 1).c_str());
    if (result != 0 && errno != ENOENT) return Error::fromErrno(from, errno);
  }
  return {};
}

Status RotatedFile::append(std::string_view line) {
  std::error_code ignored;  // what it hinders is reported by open()
  const auto folder = std::filesystem::path(path_).parent_path();
  if (!folder.empty()) std::filesystem::create_directories(folder, ignored);
  UniqueFd file = openToAppend(path_);
  if (!file.valid()) return Error::fromErrno(path_, errno);
  std::uint64_t size = sizeOf(file.get());
  if (size > 0 && size + line.size() + 1 > maxBytes_) {
    if (auto ok = rotate(); !ok) return ok;
    file = openToAppend(path_);
    if (!file.valid()) return Error::fromErrno(path_, errno);
    size = sizeOf(file.get());
  }
  std::string text = endsWithNewline(file.get(), size) ? "" : "\n";
  text.append(line).append("\n");
  const Status written = writeAll(file.get(), text);
  if (written) return {};
  // A part of a line is no line. What is not a file cannot be cut.
  [[maybe_unused]] const int cut = ftruncate(file.get(), static_cast<off_t>(size));
  return written.error().in(path_);
}

}  // namespace sockmesh
