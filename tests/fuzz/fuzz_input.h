// SPDX-License-Identifier: Apache-2.0
// What all fuzzers use: a claim that must hold, and files that exist in memory alone.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/unique_fd.h"

namespace sockmesh::fuzz {

// Ends the process with `what` unless `holds`: the fuzzer then keeps the input.
void require(bool holds, std::string_view what);

inline std::string_view textOf(std::span<const std::uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Holds `content` under a path of this process.
class MemoryFile {
 public:
  explicit MemoryFile(std::string_view content);
  std::string path() const;

 private:
  UniqueFd fd_;
};

// A folder of this process, removed with what is in it when the process exits.
class ScratchFolder {
 public:
  ScratchFolder();
  ~ScratchFolder();
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;

  const std::string& path() const { return path_; }
  void write(const std::string& name, std::string_view content) const;
  void remove(const std::string& name) const;

 private:
  std::string path_;
};

}  // namespace sockmesh::fuzz
