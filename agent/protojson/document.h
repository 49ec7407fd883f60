// SPDX-License-Identifier: Apache-2.0
// A YAML or JSON document as a tree that remembers lines, between the text and the protobuf
// message it describes.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace sockmesh {

struct DocumentNode;
// Shared, because YAML aliases make one node part of several.
using DocumentPtr = std::shared_ptr<const DocumentNode>;

struct DocumentField {
  std::string key;  // of a scalar key: its text
  int line = 0;     // the key's
  DocumentPtr value;
};

struct DocumentNode {
  enum class Kind : std::uint8_t { kNull, kBool, kNumber, kString, kList, kMap };

  Kind kind = Kind::kNull;
  int line = 1;                       // where it begins, from 1
  std::string text;                   // kString: the characters; kBool and kNumber: the JSON token
  std::vector<DocumentPtr> items;     // kList
  std::vector<DocumentField> fields;  // kMap: in the order of the text, keys unique

  // The size of the whole subtree, counted while it is built, so that aliases cannot make it
  // explode.
  std::uint64_t values = 1;
  std::uint64_t bytes = 0;  // of keys and scalars
  int depth = 1;

  // The field of a kMap with this key. Null if there is none. Looks at all fields in turn.
  const DocumentField* find(std::string_view key) const;

  // Describes a node for an error: "80 (a number)", "a list".
  std::string describe() const;
};

// Recursion needs a limit. protobuf's own limit for JSON is not deeper.
inline constexpr int kMaxDocumentDepth = 100;
Error tooDeep(int line);

Error errorAtLine(int line, const std::string& message);  // "line 7: message"
// `text`, or its beginning and "..." if it is too long for an error.
std::string shortened(std::string_view text);

// Append to a node that is being built. Error: nested too deep.
Status addItem(DocumentNode& list, DocumentPtr item);
Status addField(DocumentNode& map, DocumentField field);
// Call once a map has all its fields. Error: a key that appears twice.
Status checkKeys(const DocumentNode& map);

std::string toJson(const DocumentNode& node);

// Parsers: `firstLine` is the number of the text's first line, where it is a part of a file. Time
// and memory grow with the length of the text, whatever it holds.

// The documents of a YAML stream. A plain scalar is a number, a boolean or null by YAML 1.2's core
// schema; infinities and NaN become their strings in proto3 JSON.
Result<std::vector<DocumentPtr>> parseYamlDocuments(const std::string& text, int firstLine = 1);
// One JSON text (RFC 8259).
Result<DocumentPtr> parseJsonDocument(std::string_view text, int firstLine = 1);

}  // namespace sockmesh
