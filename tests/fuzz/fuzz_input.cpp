// SPDX-License-Identifier: Apache-2.0
#include "fuzz_input.h"

#include <fcntl.h>
#include <google/protobuf/stubs/logging.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "base/log.h"

namespace sockmesh::fuzz {
namespace {

void writeAll(int fd, std::string_view content) {
  while (!content.empty()) {
    const ssize_t written = ::write(fd, content.data(), content.size());
    require(written > 0, "a scratch file can be written");
    content.remove_prefix(static_cast<std::size_t>(written));
  }
}

}  // namespace

void require(bool holds, std::string_view what) {
  if (holds) return;
  std::fprintf(stderr, "WRONG: does not hold: %.*s\n", static_cast<int>(what.size()), what.data());
  std::abort();
}

MemoryFile::MemoryFile(std::string_view content) : fd_(memfd_create("fuzz", MFD_CLOEXEC)) {
  require(fd_.valid(), "memfd_create");
  writeAll(fd_.get(), content);
}

std::string MemoryFile::path() const {
  return "/proc/self/fd/" + std::to_string(fd_.get());
}

ScratchFolder::ScratchFolder() {
  std::string pattern = (std::filesystem::temp_directory_path() / "fuzz.XXXXXX").native();
  require(mkdtemp(pattern.data()) != nullptr, "mkdtemp");
  path_ = pattern;
}

ScratchFolder::~ScratchFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

void ScratchFolder::write(const std::string& name, std::string_view content) const {
  const UniqueFd file(
      open((path_ + "/" + name).c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  require(file.valid(), "open of a scratch file");
  writeAll(file.get(), content);
}

void ScratchFolder::remove(const std::string& name) const {
  ::unlink((path_ + "/" + name).c_str());
}

}  // namespace sockmesh::fuzz

// Of every fuzzer: what is logged of a million inputs is read by nobody.
extern "C" int LLVMFuzzerInitialize(int* /*argc*/, char*** /*argv*/) {
  google::protobuf::SetLogHandler(nullptr);
  return sockmesh::setLogLevel("", "off").ok() ? 0 : 1;
}
