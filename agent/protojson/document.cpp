// SPDX-License-Identifier: Apache-2.0
#include "protojson/document.h"

#include <fmt/format.h>

#include <algorithm>

namespace sockmesh {
namespace {

using Kind = DocumentNode::Kind;

constexpr std::size_t kMaxQuoted = 64;  // bytes of a scalar or key that an error repeats

void appendString(std::string& json, std::string_view text) {
  json += '"';
  for (const char c : text) {
    switch (c) {
      case '"':
        json += "\\\"";
        break;
      case '\\':
        json += "\\\\";
        break;
      case '\n':
        json += "\\n";
        break;
      case '\t':
        json += "\\t";
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) {
          json += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
        } else {
          json += c;
        }
    }
  }
  json += '"';
}

void appendJson(std::string& json, const DocumentNode& node) {
  switch (node.kind) {
    case Kind::kNull:
      json += "null";
      return;
    case Kind::kBool:
    case Kind::kNumber:
      json += node.text;
      return;
    case Kind::kString:
      appendString(json, node.text);
      return;
    case Kind::kList:
      json += '[';
      for (const DocumentPtr& item : node.items) {
        if (&item != &node.items.front()) json += ',';
        appendJson(json, *item);
      }
      json += ']';
      return;
    case Kind::kMap:
      json += '{';
      for (const DocumentField& field : node.fields) {
        if (&field != &node.fields.front()) json += ',';
        appendString(json, field.key);
        json += ':';
        appendJson(json, *field.value);
      }
      json += '}';
      return;
  }
}

Status grow(DocumentNode& parent, const DocumentNode& child, int line) {
  parent.values += child.values;
  parent.bytes += child.bytes + child.text.size();
  parent.depth = std::max(parent.depth, child.depth + 1);
  if (parent.depth <= kMaxDocumentDepth) return {};
  return tooDeep(line);
}

}  // namespace

Error tooDeep(int line) {
  return errorAtLine(line, fmt::format("nested more than {} deep", kMaxDocumentDepth));
}

Error errorAtLine(int line, const std::string& message) {
  return Error(fmt::format("line {}: {}", line, message));
}

std::string shortened(std::string_view text) {
  if (text.size() <= kMaxQuoted) return std::string(text);
  return std::string(text.substr(0, kMaxQuoted)) + "...";
}

const DocumentField* DocumentNode::find(std::string_view key) const {
  const auto found = std::ranges::find(fields, key, &DocumentField::key);
  return found == fields.end() ? nullptr : &*found;
}

std::string DocumentNode::describe() const {
  const bool fits = text.size() <= kMaxQuoted;
  switch (kind) {
    case Kind::kNull:
      return "null";
    case Kind::kBool:
      return text + " (a boolean)";
    case Kind::kNumber:
      return (fits ? text + " " : "") + "(a number)";
    case Kind::kString:
      return fits ? "'" + text + "' (a string)" : "a long string";
    case Kind::kList:
      return "a list";
    case Kind::kMap:
      break;
  }
  return "a map";
}

Status addItem(DocumentNode& list, DocumentPtr item) {
  Status grown = grow(list, *item, item->line);
  list.items.push_back(std::move(item));
  return grown;
}

Status addField(DocumentNode& map, DocumentField field) {
  Status grown = grow(map, *field.value, field.line);
  map.bytes += field.key.size();
  map.fields.push_back(std::move(field));
  return grown;
}

Status checkKeys(const DocumentNode& map) {
  std::vector<const DocumentField*> sorted;
  for (const DocumentField& field : map.fields) sorted.push_back(&field);
  std::ranges::stable_sort(sorted, {}, &DocumentField::key);
  const auto twice = std::ranges::adjacent_find(sorted, {}, &DocumentField::key);
  if (twice == sorted.end()) return {};
  return errorAtLine(twice[1]->line, fmt::format("key '{}' is there already, in line {}",
                                                 shortened(twice[1]->key), twice[0]->line));
}

std::string toJson(const DocumentNode& node) {
  std::string json;
  appendJson(json, node);
  return json;
}

}  // namespace sockmesh
