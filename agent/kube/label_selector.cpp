// SPDX-License-Identifier: Apache-2.0
#include "kube/label_selector.h"

#include <algorithm>

namespace sockmesh {
namespace {

constexpr std::size_t kMaxName = 63;
constexpr std::size_t kMaxPrefix = 253;

bool isLetterOrDigit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool isName(std::string_view text) {
  return !text.empty() && text.size() <= kMaxName && isLetterOrDigit(text.front()) &&
         isLetterOrDigit(text.back()) && std::ranges::all_of(text, [](char c) {
           return isLetterOrDigit(c) || c == '-' || c == '_' || c == '.';
         });
}

bool isDnsName(std::string_view text) {
  if (text.size() > kMaxPrefix) return false;
  while (true) {
    const std::string_view part = text.substr(0, text.find('.'));
    const bool lower = std::ranges::all_of(
        part, [](char c) { return c == '-' || (isLetterOrDigit(c) && (c < 'A' || c > 'Z')); });
    if (!lower || !isName(part)) return false;
    if (part.size() == text.size()) return true;
    text.remove_prefix(part.size() + 1);
  }
}

bool matchesOne(const LabelRequirement& requirement, const Labels& labels) {
  using Operator = LabelRequirement::Operator;
  const auto found = labels.find(requirement.key);
  const bool exists = found != labels.end();
  const auto among = [&] {
    return exists &&
           std::ranges::find(requirement.values, found->second) != requirement.values.end();
  };
  switch (requirement.op) {
    case Operator::kIn:
      return among();
    case Operator::kNotIn:
      return !among();
    case Operator::kExists:
      return exists;
    case Operator::kDoesNotExist:
      return !exists;
  }
  return false;
}

}  // namespace

bool LabelSelector::matches(const Labels& labels) const {
  const bool equal = std::ranges::all_of(matchLabels, [&](const auto& wanted) {
    const auto found = labels.find(wanted.first);
    return found != labels.end() && found->second == wanted.second;
  });
  return equal && std::ranges::all_of(matchExpressions, [&](const LabelRequirement& one) {
           return matchesOne(one, labels);
         });
}

Status checkLabelKey(std::string_view key) {
  const std::size_t slash = key.find('/');
  const bool hasPrefix = slash != std::string_view::npos;
  const std::string_view name = hasPrefix ? key.substr(slash + 1) : key;
  if (isName(name) && (!hasPrefix || isDnsName(key.substr(0, slash)))) return {};
  return Error("\"" + std::string(key) + "\" is no key of Kubernetes: NAME or PREFIX/NAME");
}

Status checkLabelValue(std::string_view value) {
  if (value.empty() || isName(value)) return {};
  return Error("\"" + std::string(value) +
               "\" can be no label's value: up to 63 letters, digits, \"-\", \"_\" and \".\"");
}

}  // namespace sockmesh
