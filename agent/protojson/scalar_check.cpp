// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "base/suggestion.h"
#include "protojson/foreign_document.h"
#include "protojson/message_check.h"

namespace sockmesh {
namespace {

using google::protobuf::FieldDescriptor;
using Kind = DocumentNode::Kind;

constexpr std::int64_t kMaxDurationSeconds = 315'576'000'000;  // google.protobuf.Duration's

// Integers may be written as 3, "3", 3.0 and 3e0.
template <typename T>
Status checkInteger(const std::string& text, bool isString, const char* typeName) {
  T value{};
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (stop == end && error == std::errc()) return {};
  const Error wrong(fmt::format(
      "{} is no {}", isString ? "'" + shortened(text) + "'" : shortened(text), typeName));
  const bool digits = text.find_first_not_of("-0123456789") == std::string::npos && text != "-";
  if (digits || isString) {
    if (!digits || text.empty()) return wrong;
    return Error(fmt::format("{} is out of the range of {}, {} to {}", shortened(text), typeName,
                             std::numeric_limits<T>::min(), std::numeric_limits<T>::max()));
  }
  double number = 0;
  const auto parsed = std::from_chars(text.data(), end, number);
  // 2^53: up to there doubles are exact.
  const bool exact = parsed.ec == std::errc() && std::nearbyint(number) == number &&
                     std::abs(number) <= 9007199254740992.0;
  if (!exact || number < static_cast<double>(std::numeric_limits<T>::min()) ||
      number > static_cast<double>(std::numeric_limits<T>::max())) {
    return wrong;
  }
  return {};
}

Status checkFloat(const DocumentNode& node, const char* typeName, double limit) {
  const bool isString = node.kind == Kind::kString;
  if (isString && (node.text == "NaN" || node.text == "Infinity" || node.text == "-Infinity")) {
    return {};
  }
  double value = 0;
  const char* const end = node.text.data() + node.text.size();
  const auto [stop, error] = std::from_chars(node.text.data(), end, value);
  if (stop != end || error == std::errc::invalid_argument || !std::isfinite(value)) {
    return Error(node.describe() + " is no " + typeName);
  }
  // A number that is too small for the type becomes zero. from_chars reports both cases alike.
  const bool tooLarge = error == std::errc() ? std::abs(value) > limit
                                             : node.text.find("e-") == std::string::npos &&
                                                   node.text.find("E-") == std::string::npos;
  if (tooLarge) return Error(shortened(node.text) + " is out of the range of " + typeName);
  return {};
}

Status checkEnum(const DocumentNode& node, const google::protobuf::EnumDescriptor& type) {
  if (node.kind == Kind::kNumber) {
    return checkInteger<std::int32_t>(node.text, false, type.full_name().c_str());
  }
  if (node.kind != Kind::kString) return Error(node.describe() + " is no " + type.full_name());
  if (type.FindValueByName(node.text) != nullptr) return {};
  std::vector<std::string> names;
  for (int i = 0; i < type.value_count(); ++i) names.push_back(type.value(i)->name());
  std::string hint = enumHint(type.full_name(), node.text);
  if (hint.empty()) hint = didYouMean(node.text, names);
  if (hint.empty()) hint = fmt::format(": {}", fmt::join(names, ", "));
  return Error(fmt::format("'{}' is none of the values of {}{}", shortened(node.text),
                           type.full_name(), hint));
}

// Base64, also in its URL alphabet, padded or not.
Status checkBytes(const DocumentNode& node) {
  if (node.kind != Kind::kString) return Error(node.describe() + " is no base64 string");
  std::string_view text = node.text;
  while (text.ends_with('=') && node.text.size() - text.size() < 2) text.remove_suffix(1);
  static constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_";
  const bool padded = text.size() != node.text.size();
  if (text.find_first_not_of(kAlphabet) == std::string_view::npos && text.size() % 4 != 1 &&
      (!padded || node.text.size() % 4 == 0)) {
    return {};
  }
  return Error("is no valid base64");
}

Status checkString(const DocumentNode& node) {
  if (node.kind == Kind::kString) return {};
  const bool scalar = node.kind == Kind::kBool || node.kind == Kind::kNumber;
  return Error(node.describe() + " is no string" + (scalar ? ", put it in quotes" : ""));
}

Status checkNumber(const DocumentNode& node, FieldDescriptor::CppType type) {
  const bool isString = node.kind == Kind::kString;
  const char* const name = FieldDescriptor::CppTypeName(type);
  if (!isString && node.kind != Kind::kNumber) {
    return Error(node.describe() + " is no " + name);
  }
  switch (type) {
    case FieldDescriptor::CPPTYPE_INT32:
      return checkInteger<std::int32_t>(node.text, isString, name);
    case FieldDescriptor::CPPTYPE_INT64:
      return checkInteger<std::int64_t>(node.text, isString, name);
    case FieldDescriptor::CPPTYPE_UINT32:
      return checkInteger<std::uint32_t>(node.text, isString, name);
    case FieldDescriptor::CPPTYPE_UINT64:
      return checkInteger<std::uint64_t>(node.text, isString, name);
    case FieldDescriptor::CPPTYPE_FLOAT:
      return checkFloat(node, name, std::numeric_limits<float>::max());
    default:
      return checkFloat(node, name, std::numeric_limits<double>::max());
  }
}

bool takeDigits(std::string_view& text, std::size_t atLeast, std::size_t atMost) {
  std::size_t count = 0;
  while (count < text.size() && text[count] >= '0' && text[count] <= '9') ++count;
  text.remove_prefix(count);
  return count >= atLeast && count <= atMost;
}

// -?[0-9]+(\.[0-9]{1,9})?s
bool isDuration(std::string_view text) {
  if (text.starts_with('-')) text.remove_prefix(1);
  std::int64_t seconds = 0;
  (void)std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (!takeDigits(text, 1, 12) || seconds > kMaxDurationSeconds) return false;
  if (text.starts_with('.')) {
    text.remove_prefix(1);
    if (!takeDigits(text, 1, 9)) return false;
  }
  return text == "s";
}

}  // namespace

Status checkScalar(const DocumentNode& node, const FieldDescriptor& field) {
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_BOOL:
      if (node.kind == Kind::kBool) return {};
      return Error(node.describe() + " is neither true nor false");
    case FieldDescriptor::CPPTYPE_ENUM:
      return checkEnum(node, *field.enum_type());
    case FieldDescriptor::CPPTYPE_STRING:
      return field.type() == FieldDescriptor::TYPE_BYTES ? checkBytes(node) : checkString(node);
    default:
      return checkNumber(node, field.cpp_type());
  }
}

Status checkKey(const std::string& key, const FieldDescriptor& field) {
  DocumentNode node;
  node.kind = Kind::kString;
  node.text = key;
  if (field.cpp_type() != FieldDescriptor::CPPTYPE_BOOL) return checkScalar(node, field);
  if (key == "true" || key == "false") return {};
  return Error("'" + shortened(key) + "' is neither true nor false");
}

Status checkTimeText(const DocumentNode& node, const std::string& typeName) {
  if (typeName == "google.protobuf.Duration") {
    if (node.kind == Kind::kString && isDuration(node.text)) return {};
    return Error(node.describe() + " is no duration, such as \"1.5s\"");
  }
  if (node.kind == Kind::kString) return {};
  return Error(node.describe() + " is no " + typeName);
}

}  // namespace sockmesh
