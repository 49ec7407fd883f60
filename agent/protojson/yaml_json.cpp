// SPDX-License-Identifier: Apache-2.0
#include "protojson/yaml_json.h"

#include <google/protobuf/util/json_util.h>

#include "protojson/document.h"
#include "protojson/message_check.h"

namespace sockmesh {
namespace {

constexpr const char* kBlanks = " \t\r\n";

bool opensBracket(const std::string& text, std::size_t at) {
  return at != std::string::npos && (text[at] == '{' || text[at] == '[');
}

// A bracket and then a string or another bracket: this is meant as JSON, although YAML may also
// begin in this way.
bool looksLikeJson(const std::string& text, std::size_t first) {
  const std::size_t second = text.find_first_not_of(kBlanks, first + 1);
  return second != std::string::npos && (text[second] == '"' || opensBracket(text, second));
}

}  // namespace

// JSON is parsed as JSON, because the YAML parser does not know all of JSON.
Result<std::vector<DocumentPtr>> parseDocuments(const std::string& text, int firstLine) {
  const std::size_t first = text.find_first_not_of(kBlanks);
  if (!opensBracket(text, first)) return parseYamlDocuments(text, firstLine);
  auto json = parseJsonDocument(text, firstLine);
  if (json) return std::vector<DocumentPtr>{*std::move(json)};
  auto yaml = parseYamlDocuments(text, firstLine);
  if (!yaml && looksLikeJson(text, first)) return json.error();
  return yaml;
}

Status parseNode(const DocumentNode& node, google::protobuf::Message& message) {
  if (Status checked = checkMessage(node, *message.GetDescriptor()); !checked) return checked;
  message.Clear();
  google::protobuf::util::JsonParseOptions options;
  options.ignore_unknown_fields = false;
  const auto parsed = google::protobuf::util::JsonStringToMessage(toJson(node), &message, options);
  if (parsed.ok()) return {};
  // After the check protobuf finds almost no errors, so this error has no path.
  return errorAtLine(node.line, parsed.ToString());
}

Status parseYamlOrJson(const std::string& text, google::protobuf::Message& message) {
  const auto documents = parseDocuments(text);
  if (!documents) return documents.error();
  if (documents->size() > 1) {
    return errorAtLine((*documents)[1]->line, "a second document, where one is expected");
  }
  // A text with only comments is a message without fields.
  DocumentNode empty;
  empty.kind = DocumentNode::Kind::kMap;
  const bool given = !documents->empty() && documents->front()->kind != DocumentNode::Kind::kNull;
  return parseNode(given ? *documents->front() : empty, message);
}

Status parseJson(const std::string& json, google::protobuf::Message& message) {
  const auto document = parseJsonDocument(json);
  if (!document) return document.error();
  return parseNode(**document, message);
}

}  // namespace sockmesh
