// SPDX-License-Identifier: Apache-2.0
#include "store/apply_result.h"

#include <string_view>

namespace sockmesh {
namespace {

constexpr std::size_t kMaxMessage = 4096;  // bytes; it travels in a gRPC message, some in headers

// The longest prefix of `text` within `size` bytes that does not end inside a UTF-8 character:
// the message goes into a proto3 string, which some servers refuse otherwise.
std::string_view utf8Prefix(std::string_view text, std::size_t size) {
  if (text.size() <= size) return text;
  while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xC0U) == 0x80U) --size;
  return text.substr(0, size);
}

}  // namespace

std::string ApplyResult::message() const {
  std::string text;
  for (std::size_t i = 0; i < rejected.size(); ++i) {
    const RejectedResource& one = rejected[i];
    const std::string next = one.name.empty() ? one.reason : one.name + ": " + one.reason;
    if (i > 0 && text.size() + 2 + next.size() > kMaxMessage) {
      return text + "; and " + std::to_string(rejected.size() - i) + " more";
    }
    if (i > 0) text += "; ";
    text += utf8Prefix(next, kMaxMessage);
    if (next.size() > kMaxMessage) text += "...";
  }
  return text;
}

}  // namespace sockmesh
