// SPDX-License-Identifier: Apache-2.0
// A file of lines that grows to a size, and then becomes FILE.1. FILE.1 becomes FILE.2, and so on.
// The oldest is removed.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace sockmesh {

class RotatedFile {
 public:
  // `maxBytes` of one file; `maxFiles` with the one that grows, at least 1. Opens nothing yet.
  RotatedFile(std::string path, std::uint64_t maxBytes, std::uint32_t maxFiles);

  // Appends `line` and a newline, whole or not at all. Makes the folder if it is missing. The file
  // is opened each time, so a tool that moves it away need not notify anybody.
  Status append(std::string_view line);

  // FILE, FILE.1, ...
  static std::string pathOf(const std::string& path, std::uint32_t number);

 private:
  Status rotate() const;

  std::string path_;
  std::uint64_t maxBytes_;
  std::uint32_t maxFiles_;
};

}  // namespace sockmesh
