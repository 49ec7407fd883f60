// SPDX-License-Identifier: Apache-2.0
#include "cli_words.h"

#include <algorithm>

#include "base/host_port.h"
#include "base/suggestion.h"
#include "model/address.h"
#include "text.h"

namespace sockmesh::ctl {

std::string checkAddress(const std::string& text) {
  const auto parsed = SocketAddress::parse(text);
  return parsed ? "" : parsed.error().message();
}

std::string checkHostPort(const std::string& text) {
  const auto parsed = parseHostPort(text);
  return parsed ? "" : parsed.error().message();
}

std::string checkIp(const std::string& text) {
  const auto parsed = IpAddress::parse(text);
  return parsed ? "" : parsed.error().message();
}

CLI::Validator oneOf(const std::vector<std::string>& words) {
  const auto check = [words](const std::string& text) -> std::string {
    if (std::find(words.begin(), words.end(), text) != words.end()) return "";
    const std::string hint = didYouMean(text, words);
    return "unknown \"" + text + "\"" + (hint.empty() ? "; known are " + join(words, ", ") : hint);
  };
  return {check, "{" + join(words, ",") + "}"};
}

}  // namespace sockmesh::ctl
