// SPDX-License-Identifier: Apache-2.0
#include "base/token_file.h"

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <sstream>

namespace sockmesh {

Result<std::string> readSmallFile(const std::string& path) {
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  if (file) text << file.rdbuf();
  if (!file) return Error::fromErrno(path, errno == 0 ? EIO : errno);
  if (text.str().empty()) return Error(path + ": is empty");
  return text.str();
}

Result<std::string> readToken(const std::string& path) {
  auto text = readSmallFile(path);
  if (!text) return text;
  const auto isBlank = [](unsigned char c) { return c == ' ' || (c >= '\t' && c <= '\r'); };
  std::string& token = *text;
  token.erase(std::ranges::find_if_not(token.rbegin(), token.rend(), isBlank).base(), token.end());
  token.erase(token.begin(), std::ranges::find_if_not(token, isBlank));
  if (token.empty()) return Error(path + ": is empty");
  if (!std::ranges::all_of(token, [](unsigned char c) { return c > ' ' && c < 0x7F; })) {
    return Error(path + ": is not a token: it holds blanks or characters that are not ASCII");
  }
  return text;
}

}  // namespace sockmesh
