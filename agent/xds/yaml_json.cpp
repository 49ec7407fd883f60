#include "xds/yaml_json.h"

#include <google/protobuf/util/json_util.h>

#include "xds/document.h"
#include "xds/message_check.h"

namespace sockmesh {
namespace {

// JSON is taken as such, because YAML's parser does not know all of it.
Result<std::vector<DocumentPtr>> parseDocuments(const std::string& text) {
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first != std::string::npos && (text[first] == '{' || text[first] == '[')) {
    if (auto json = parseJsonDocument(text)) return std::vector<DocumentPtr>{*std::move(json)};
  }
  return parseYamlDocuments(text);
}

Status fill(const DocumentNode& node, google::protobuf::Message& message) {
  if (Status checked = checkMessage(node, *message.GetDescriptor()); !checked) return checked;
  message.Clear();
  google::protobuf::util::JsonParseOptions options;
  options.ignore_unknown_fields = false;
  const auto parsed = google::protobuf::util::JsonStringToMessage(toJson(node), &message, options);
  if (parsed.ok()) return {};
  // The check leaves next to nothing for protobuf to find, so this has no path.
  return errorAtLine(node.line, parsed.ToString());
}

}  // namespace

Result<std::vector<std::string>> yamlToJson(const std::string& text) {
  const auto documents = parseDocuments(text);
  if (!documents) return documents.error();
  std::vector<std::string> json;
  for (const DocumentPtr& document : *documents) json.push_back(toJson(*document));
  return json;
}

Status parseYamlOrJson(const std::string& text, google::protobuf::Message& message) {
  const auto documents = parseDocuments(text);
  if (!documents) return documents.error();
  if (documents->size() > 1) {
    return errorAtLine((*documents)[1]->line, "a second document, where one is expected");
  }
  // Nothing but comments: a message without fields.
  DocumentNode empty;
  empty.kind = DocumentNode::Kind::kMap;
  const bool given = !documents->empty() && documents->front()->kind != DocumentNode::Kind::kNull;
  return fill(given ? *documents->front() : empty, message);
}

Status parseJson(const std::string& json, google::protobuf::Message& message) {
  const auto document = parseJsonDocument(json);
  if (!document) return document.error();
  return fill(**document, message);
}

}  // namespace sockmesh
