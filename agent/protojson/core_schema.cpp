// SPDX-License-Identifier: Apache-2.0
#include "protojson/core_schema.h"

#include <charconv>
#include <optional>

namespace sockmesh {
namespace {

using Kind = DocumentNode::Kind;

constexpr std::string_view kTagPrefix = "tag:yaml.org,2002:";
constexpr std::string_view kDigits = "0123456789";

// Takes the digits that `text` begins with.
std::string_view takeDigits(std::string_view& text) {
  const std::string_view digits = text.substr(0, text.find_first_not_of(kDigits));
  text.remove_prefix(digits.size());
  return digits;
}

bool takeChar(std::string_view& text, std::string_view anyOf) {
  if (text.empty() || anyOf.find(text.front()) == std::string_view::npos) return false;
  text.remove_prefix(1);
  return true;
}

bool isBool(std::string_view text) {
  return text == "true" || text == "True" || text == "TRUE" || text == "false" || text == "False" ||
         text == "FALSE";
}

bool isNull(std::string_view text) {
  return text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL";
}

// The digits without leading zeros, which JSON does not allow.
std::string canonicalDigits(std::string_view digits) {
  const std::size_t first = digits.find_first_not_of('0');
  return first == std::string_view::npos ? "0" : std::string(digits.substr(first));
}

// [-+]?[0-9]+ and [-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)? as a JSON number, with every
// digit that was written.
std::optional<std::string> decimalNumber(std::string_view text) {
  const bool negative = text.starts_with('-');
  takeChar(text, "-+");
  const std::string_view whole = takeDigits(text);
  const bool point = takeChar(text, ".");
  const std::string_view fraction = point ? takeDigits(text) : "";
  if (whole.empty() && fraction.empty()) return std::nullopt;
  std::string number = (negative ? "-" : "") + canonicalDigits(whole);
  if (point) number += "." + (fraction.empty() ? "0" : std::string(fraction));
  if (takeChar(text, "eE")) {
    const bool negativeExponent = text.starts_with('-');
    takeChar(text, "-+");
    const std::string_view exponent = takeDigits(text);
    if (exponent.empty()) return std::nullopt;
    number += (negativeExponent ? "e-" : "e") + std::string(exponent);
  }
  if (!text.empty()) return std::nullopt;
  return number;
}

// .inf and .nan by their names in proto3 JSON, where they are strings.
std::optional<std::string> notFinite(std::string_view text) {
  if (text == ".nan" || text == ".NaN" || text == ".NAN") return "NaN";
  const bool negative = text.starts_with('-');
  takeChar(text, "-+");
  if (text == ".inf" || text == ".Inf" || text == ".INF")
    return negative ? "-Infinity" : "Infinity";
  return std::nullopt;
}

// 0x1F and 0o17. Nullopt for other texts.
std::optional<Result<std::string>> hexOrOctal(std::string_view text) {
  const bool hex = text.starts_with("0x");
  if (!hex && !text.starts_with("0o")) return std::nullopt;
  std::uint64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data() + 2, end, value, hex ? 16 : 8);
  if (stop != end || error == std::errc::invalid_argument) return std::nullopt;
  if (error != std::errc())
    return Result<std::string>(Error(std::string(text) + " exceeds 64 bits"));
  return Result<std::string>(std::to_string(value));
}

void set(DocumentNode& node, Kind kind, std::string text) {
  node.kind = kind;
  node.text = std::move(text);
}

Status resolvePlain(const std::string& value, DocumentNode& node) {
  if (isNull(value)) {
    set(node, Kind::kNull, "");
  } else if (isBool(value)) {
    const bool isTrue = value.front() == 't' || value.front() == 'T';
    set(node, Kind::kBool, isTrue ? "true" : "false");
  } else if (auto number = decimalNumber(value)) {
    set(node, Kind::kNumber, *std::move(number));
  } else if (auto name = notFinite(value)) {
    set(node, Kind::kString, *std::move(name));
  } else if (auto integer = hexOrOctal(value)) {
    if (!*integer) return integer->error();
    set(node, Kind::kNumber, **integer);
  } else {
    set(node, Kind::kString, value);
  }
  return {};
}

}  // namespace

Status resolveScalar(const std::string& tag, const std::string& value, DocumentNode& node) {
  if (tag.empty() || tag == "?") return resolvePlain(value, node);
  if (tag == "!") {
    set(node, Kind::kString, value);
    return {};
  }
  const std::string name = tag.starts_with(kTagPrefix) ? tag.substr(kTagPrefix.size()) : tag;
  if (name == "str") {
    set(node, Kind::kString, value);
    return {};
  }
  if (Status plain = resolvePlain(value, node); !plain) return plain;
  const bool fits = (name == "null" && node.kind == Kind::kNull) ||
                    (name == "bool" && node.kind == Kind::kBool) ||
                    (name == "int" && node.kind == Kind::kNumber &&
                     node.text.find_first_of(".e") == std::string::npos) ||
                    (name == "float" && (node.kind == Kind::kNumber || notFinite(value)));
  if (fits) return {};
  const bool known = name == "null" || name == "bool" || name == "int" || name == "float";
  return Error(known ? "'" + value + "' is no !!" + name : "tag " + tag + " is not supported here");
}

}  // namespace sockmesh
