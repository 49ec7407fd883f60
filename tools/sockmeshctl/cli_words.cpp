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

std::string checkClient(const std::string& text) {
  const std::size_t colon = text.find(':');
  const std::string kind = text.substr(0, colon);
  const std::string number = colon == std::string::npos ? "" : text.substr(colon + 1);
  const bool isNumber =
      !number.empty() && number.find_first_not_of("0123456789") == std::string::npos;
  if (text == "others" || (isNumber && (kind == "pod" || kind == "netns" || kind == "uid"))) {
    return "";
  }
  return "'" + text + "' is no client: pod:ID, netns:COOKIE or uid:ID, as `ejection list` names it";
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
