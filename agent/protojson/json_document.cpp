// SPDX-License-Identifier: Apache-2.0
// JSON (RFC 8259) -> DocumentNode. The YAML parser is not used, because it rejects some JSON
// (surrogate pairs, long keys) and accepts texts that are not JSON.
#include <array>
#include <charconv>
#include <optional>

#include "protojson/document.h"

namespace sockmesh {
namespace {

using Kind = DocumentNode::Kind;

bool isDigit(char c) {
  return c >= '0' && c <= '9';
}

void appendUtf8(std::string& text, std::uint32_t point) {
  if (point < 0x80) {
    text += static_cast<char>(point);
    return;
  }
  if (point < 0x800) {
    text += static_cast<char>(0xC0U | (point >> 6U));
  } else if (point < 0x10000) {
    text += static_cast<char>(0xE0U | (point >> 12U));
    text += static_cast<char>(0x80U | ((point >> 6U) & 0x3FU));
  } else {
    text += static_cast<char>(0xF0U | (point >> 18U));
    text += static_cast<char>(0x80U | ((point >> 12U) & 0x3FU));
    text += static_cast<char>(0x80U | ((point >> 6U) & 0x3FU));
  }
  text += static_cast<char>(0x80U | (point & 0x3FU));
}

class Parser {
 public:
  Parser(std::string_view text, int firstLine) : rest_(text), line_(firstLine) {}

  Result<DocumentPtr> parse() {
    DocumentPtr root = value(1);
    skipSpace();
    if (!error_ && !rest_.empty()) fail("something follows the JSON value");
    if (error_) return *error_;
    return root;
  }

 private:
  // Every function below sets error_ if it fails. Its result has no meaning then.
  DocumentPtr value(int depth) {
    skipSpace();
    auto node = std::make_shared<DocumentNode>();
    node->line = line_;
    if (depth > kMaxDocumentDepth) {
      check(tooDeep(line_));
    } else if (take("{")) {
      node->kind = Kind::kMap;
      map(*node, depth);
    } else if (take("[")) {
      node->kind = Kind::kList;
      list(*node, depth);
    } else if (take("\"")) {
      node->kind = Kind::kString;
      node->text = string();
    } else if (!rest_.empty() && (rest_.front() == '-' || isDigit(rest_.front()))) {
      node->kind = Kind::kNumber;
      node->text = number();
    } else {
      literal(*node);
    }
    return node;
  }

  void literal(DocumentNode& node) {
    for (const std::string_view word : {"true", "false", "null"}) {
      if (!take(word)) continue;
      node.kind = word == "null" ? Kind::kNull : Kind::kBool;
      if (node.kind == Kind::kBool) node.text = word;
      return;
    }
    fail("a JSON value is expected");
  }

  void list(DocumentNode& node, int depth) {
    skipSpace();
    if (take("]")) return;
    do {
      check(addItem(node, value(depth + 1)));
      skipSpace();
    } while (!error_ && take(","));
    if (!error_ && !take("]")) fail("',' or ']' is expected");
  }

  void map(DocumentNode& node, int depth) {
    skipSpace();
    if (take("}")) return;
    do {
      skipSpace();
      DocumentField field;
      field.line = line_;
      if (!take("\"")) return fail("a key in double quotes is expected");
      field.key = string();
      skipSpace();
      if (!error_ && !take(":")) fail("':' is expected");
      if (error_) return;
      field.value = value(depth + 1);
      check(addField(node, std::move(field)));
      skipSpace();
    } while (!error_ && take(","));
    if (!error_ && !take("}")) fail("',' or '}' is expected");
    if (!error_) check(checkKeys(node));
  }

  // After the opening quote.
  std::string string() {
    std::string text;
    while (!error_ && !rest_.empty()) {
      const char c = rest_.front();
      rest_.remove_prefix(1);
      if (c == '"') return text;
      if (c == '\\') {
        escape(text);
      } else if (static_cast<unsigned char>(c) < 0x20) {
        fail("a control character in a string");
      } else {
        text += c;
      }
    }
    fail("a string without its closing quote");
    return text;
  }

  void escape(std::string& text) {
    static constexpr std::string_view kNames = "\"\\/bfnrt";
    static constexpr std::string_view kMeanings = "\"\\/\b\f\n\r\t";
    const char name = rest_.empty() ? '\0' : rest_.front();
    if (name == 'u') {
      const std::uint32_t point = codePoint();
      if (!error_) appendUtf8(text, point);
      return;
    }
    const std::size_t which = kNames.find(name);
    if (rest_.empty() || which == std::string_view::npos) return fail("an unknown escape");
    rest_.remove_prefix(1);
    text += kMeanings[which];
  }

  // At the u of one \uXXXX, or of a surrogate pair of them.
  std::uint32_t codePoint() {
    const std::uint32_t first = hexUnit();
    if (first < 0xD800 || first > 0xDFFF) return first;
    const bool pair = first < 0xDC00 && take("\\");
    const std::uint32_t second = pair && rest_.starts_with('u') ? hexUnit() : 0;
    if (second < 0xDC00 || second > 0xDFFF) fail("half a surrogate pair");
    return 0x10000 + ((first - 0xD800) << 10U) + (second - 0xDC00);
  }

  std::uint32_t hexUnit() {
    rest_.remove_prefix(1);
    const std::string_view digits = rest_.substr(0, 4);
    const char* const end = digits.data() + digits.size();
    std::uint32_t unit = 0;
    const auto [stop, error] = std::from_chars(digits.data(), end, unit, 16);
    if (digits.size() < 4 || stop != end || error != std::errc()) {
      fail("\\u needs four hexadecimal digits");
    } else {
      rest_.remove_prefix(4);
    }
    return unit;
  }

  std::string number() {
    const std::string_view from = rest_;
    take("-");
    if (!take("0")) takeDigits();
    if (take(".")) takeDigits();
    if (take("e") || take("E")) {
      if (!take("-")) take("+");
      takeDigits();
    }
    return std::string(from.substr(0, from.size() - rest_.size()));
  }

  void takeDigits() {
    if (rest_.empty() || !isDigit(rest_.front())) return fail("a digit is expected");
    while (!rest_.empty() && isDigit(rest_.front())) rest_.remove_prefix(1);
  }

  bool take(std::string_view token) {
    if (!rest_.starts_with(token)) return false;
    rest_.remove_prefix(token.size());
    return true;
  }

  void skipSpace() {
    while (!rest_.empty()) {
      const char c = rest_.front();
      if (c != ' ' && c != '\t' && c != '\n' && c != '\r') return;
      if (c == '\n') ++line_;
      rest_.remove_prefix(1);
    }
  }

  void check(const Status& status) {
    if (!status && !error_) error_ = status.error();
  }
  void fail(const std::string& message) { check(errorAtLine(line_, message)); }

  std::string_view rest_;
  int line_;
  std::optional<Error> error_;
};

}  // namespace

Result<DocumentPtr> parseJsonDocument(std::string_view text, int firstLine) {
  return Parser(text, firstLine).parse();
}

}  // namespace sockmesh
