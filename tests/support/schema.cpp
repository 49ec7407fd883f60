// SPDX-License-Identifier: Apache-2.0
#include "support/schema.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>

namespace sockmesh::test {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kFolder = "docs/schemas";

bool isOfType(const Json& value, const std::string& type) {
  if (type == "object") return value.is_object();
  if (type == "array") return value.is_array();
  if (type == "string") return value.is_string();
  if (type == "boolean") return value.is_boolean();
  if (type == "integer") return value.is_number_integer();
  if (type == "number") return value.is_number();
  return type == "null" && value.is_null();
}

bool hasType(const Json& schema, const Json& value) {
  if (!schema.contains("type")) return true;
  const Json& type = schema["type"];
  if (type.is_string()) return isOfType(value, type.get<std::string>());
  return std::any_of(type.begin(), type.end(),
                     [&](const Json& one) { return isOfType(value, one.get<std::string>()); });
}

bool isOneOf(const Json& values, const Json& value) {
  return std::find(values.begin(), values.end(), value) != values.end();
}

class Validator {
 public:
  explicit Validator(const Json& root) : root_(root) {}

  // A schema that is no `whole` says something of a few fields of an object, whose other fields
  // another schema has.
  void check(const Json& schema, const Json& value, const std::string& path, bool whole = true) {
    checkWords(schema, path);
    if (schema.contains("$ref")) return check(definition(schema["$ref"]), value, path);
    if (!hasType(schema, value)) {
      return note(path, "is not " + schema["type"].dump() + ": " + value.dump());
    }
    if (schema.contains("const") && value != schema["const"]) {
      note(path, value.dump() + " is not " + schema["const"].dump());
    }
    if (schema.contains("enum") && !isOneOf(schema["enum"], value)) {
      note(path, value.dump() + " is none of " + schema["enum"].dump());
    }
    if (value.is_object()) checkObject(schema, value, path, whole);
    if (value.is_array() && schema.contains("items")) {
      for (std::size_t i = 0; i < value.size(); ++i) {
        check(schema["items"], value[i], path + "[" + std::to_string(i) + "]");
      }
    }
    for (const Json& part : schema.value("allOf", Json::array())) checkCase(part, value, path);
  }
  std::vector<std::string> take() { return std::move(problems_); }

 private:
  void note(const std::string& path, const std::string& problem) {
    problems_.push_back((path.empty() ? "the document" : path) + ": " + problem);
  }
  // A word that is not looked at would promise what no test holds.
  void checkWords(const Json& schema, const std::string& path) {
    static const std::set<std::string> kKnown = {
        "$schema", "$defs",      "$ref", "title", "description",
        "type",    "const",      "enum", "items", "required",
        "allOf",   "properties", "if",   "then",  "additionalProperties"};
    for (const auto& [word, value] : schema.items()) {
      if (!kKnown.contains(word)) note(path, "the schema has the unknown word " + word);
    }
  }
  const Json& definition(const std::string& reference) const {
    return root_.at("$defs").at(reference.substr(std::string("#/$defs/").size()));
  }
  // {"if": ..., "then": ...}
  void checkCase(const Json& part, const Json& value, const std::string& path) {
    Validator condition(root_);
    condition.check(part.at("if"), value, path, false);
    if (condition.take().empty()) check(part.at("then"), value, path, false);
  }
  void checkObject(const Json& schema, const Json& value, const std::string& path, bool whole) {
    const Json known = schema.value("properties", Json::object());
    const Json others = schema.value("additionalProperties", Json(!whole));
    for (const auto& [name, child] : value.items()) {
      const std::string at = path.empty() ? name : path + "." + name;
      if (known.contains(name)) {
        check(known[name], child, at);
      } else if (others.is_object()) {
        check(others, child, at);
      } else if (others == false) {
        note(at, "is not in the schema");
      }
    }
    for (const Json& name : schema.value("required", Json::array())) {
      if (!value.contains(name.get<std::string>())) note(path, "lacks " + name.dump());
    }
  }

  const Json& root_;
  std::vector<std::string> problems_;
};

std::map<std::string, Json> readSchemas() {
  std::map<std::string, Json> schemas;
  for (const auto& entry : std::filesystem::directory_iterator(kFolder)) {
    std::ifstream file(entry.path());
    schemas[entry.path().stem()] = Json::parse(file);
  }
  return schemas;
}

const std::map<std::string, Json>& schemas() {
  static const std::map<std::string, Json> kSchemas = readSchemas();
  return kSchemas;
}

}  // namespace

std::vector<std::string> violations(const Json& schema, const Json& value) {
  Validator validator(schema);
  validator.check(schema, value, "");
  return validator.take();
}

std::vector<std::string> violations(const Json& document) {
  const std::string kind = document.value("kind", "");
  const auto schema = schemas().find(kind);
  if (schema == schemas().end())
    return {"no schema " + std::string(kFolder) + "/" + kind + ".json"};
  return violations(schema->second, document);
}

std::set<std::string> documentedKinds() {
  std::set<std::string> kinds;
  for (const auto& [kind, schema] : schemas()) kinds.insert(kind);
  return kinds;
}

}  // namespace sockmesh::test
