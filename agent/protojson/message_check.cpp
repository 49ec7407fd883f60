// SPDX-License-Identifier: Apache-2.0
#include "protojson/message_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <string_view>

#include "base/suggestion.h"
#include "protojson/foreign_document.h"

namespace sockmesh {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::OneofDescriptor;
using Kind = DocumentNode::Kind;

constexpr std::string_view kTypeUrlPrefix = "type.googleapis.com/";
constexpr std::string_view kTypeKey = "@type";
constexpr std::size_t kMaxErrors = 100;  // more would not be read

bool isWrapper(const std::string& typeName) {
  static constexpr std::array kNames = {
      "google.protobuf.DoubleValue", "google.protobuf.FloatValue",  "google.protobuf.Int64Value",
      "google.protobuf.UInt64Value", "google.protobuf.Int32Value",  "google.protobuf.UInt32Value",
      "google.protobuf.BoolValue",   "google.protobuf.StringValue", "google.protobuf.BytesValue"};
  return std::ranges::find(kNames, typeName) != kNames.end();
}

bool isTimeText(const std::string& typeName) {
  return typeName == "google.protobuf.Duration" || typeName == "google.protobuf.Timestamp" ||
         typeName == "google.protobuf.FieldMask";
}

// Types whose JSON is not an object of their fields; inside an Any that JSON is its "value".
bool hasOwnJson(const std::string& typeName) {
  return isWrapper(typeName) || isTimeText(typeName) || typeName == "google.protobuf.Struct" ||
         typeName == "google.protobuf.Value" || typeName == "google.protobuf.ListValue" ||
         typeName == "google.protobuf.Any";
}

// By its name in the proto file or its JSON name.
const FieldDescriptor* findProtoField(const Descriptor& type, const std::string& key) {
  if (const FieldDescriptor* field = type.FindFieldByName(key)) return field;
  for (int i = 0; i < type.field_count(); ++i) {
    if (type.field(i)->json_name() == key) return type.field(i);
  }
  return nullptr;
}

class Checker {
 public:
  void message(const DocumentNode& node, const Descriptor& type) {
    const std::string& name = type.full_name();
    if (name == "google.protobuf.Any") return any(node);
    if (name == "google.protobuf.Value") return;
    if (name == "google.protobuf.Struct") return expect(node, Kind::kMap, "a map");
    if (name == "google.protobuf.ListValue") return expect(node, Kind::kList, "a list");
    if (isWrapper(name)) return add(node.line, checkScalar(node, *type.FindFieldByName("value")));
    if (isTimeText(name)) return add(node.line, checkTimeText(node, name));
    if (node.kind != Kind::kMap) return expect(node, Kind::kMap, "a map of " + name);
    fields(node, type, "");
  }

  Status status() const {
    if (errors_.empty()) return {};
    return Error(fmt::format("{}", fmt::join(errors_, "; ")));
  }

 private:
  // Puts a name or an index on the path while it lives.
  class Scope {
   public:
    Scope(Checker& checker, const std::string& name)
        : path_(checker.path_), before_(checker.path_.size()) {
      if (before_ > 0) path_ += '.';
      path_ += shortened(name);
    }
    Scope(Checker& checker, std::size_t index)
        : path_(checker.path_), before_(checker.path_.size()) {
      path_ += fmt::format("[{}]", index);
    }
    ~Scope() { path_.resize(before_); }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    std::string& path_;
    std::size_t before_;
  };

  // The fields of an ordinary message. `skip` is a key that is not a field.
  void fields(const DocumentNode& node, const Descriptor& type, std::string_view skip) {
    std::map<const FieldDescriptor*, std::string> given;
    std::map<const OneofDescriptor*, std::string> chosen;
    for (const DocumentField& one : node.fields) {
      if (full()) return;
      if (one.key == skip) continue;
      const Scope scope(*this, one.key);
      const FieldDescriptor* field = findProtoField(type, one.key);
      if (field == nullptr) {
        add(one.line, noSuchField(one.key, type));
        continue;
      }
      const auto [first, isFirst] = given.emplace(field, one.key);
      if (!isFirst) add(one.line, Error("is there already, as " + first->second));
      if (isUnset(*one.value, *field)) continue;
      if (const OneofDescriptor* oneof = field->real_containing_oneof()) {
        const auto [other, isOnly] = chosen.emplace(oneof, one.key);
        if (!isOnly) add(one.line, Error("excludes " + other->second + ", which is given too"));
      }
      value(*one.value, *field);
    }
  }

  static Error noSuchField(const std::string& key, const Descriptor& type) {
    std::vector<std::string> names;
    for (int i = 0; i < type.field_count(); ++i) names.push_back(type.field(i)->name());
    std::string hint = fieldHint(type.full_name(), key);
    if (hint.empty()) hint = didYouMean(key, names);
    return Error(fmt::format("no such field in {}{}", type.full_name(), hint));
  }

  // In JSON, null means that a field is not set. Only a Value can hold a null.
  static bool isUnset(const DocumentNode& node, const FieldDescriptor& field) {
    if (node.kind != Kind::kNull) return false;
    return field.is_repeated() || !holdsNull(field);
  }
  static bool holdsNull(const FieldDescriptor& field) {
    const Descriptor* type = field.message_type();
    return type != nullptr && type->full_name() == "google.protobuf.Value";
  }

  void value(const DocumentNode& node, const FieldDescriptor& field) {
    if (field.is_map()) return mapEntries(node, field);
    if (!field.is_repeated()) return single(node, field);
    if (node.kind != Kind::kList) return expect(node, Kind::kList, "a list");
    for (std::size_t i = 0; i < node.items.size() && !full(); ++i) {
      const Scope scope(*this, i);
      element(*node.items[i], field);
    }
  }

  void mapEntries(const DocumentNode& node, const FieldDescriptor& field) {
    if (node.kind != Kind::kMap) return expect(node, Kind::kMap, "a map");
    const Descriptor& entry = *field.message_type();
    for (const DocumentField& one : node.fields) {
      if (full()) return;
      const Scope scope(*this, one.key);
      add(one.line, checkKey(one.key, *entry.map_key()));
      element(*one.value, *entry.map_value());
    }
  }

  // For the elements of a list or map, where null does not mean "not set".
  void element(const DocumentNode& node, const FieldDescriptor& field) {
    if (node.kind == Kind::kNull && !holdsNull(field)) {
      return add(node.line, Error("null is not allowed here"));
    }
    single(node, field);
  }

  void single(const DocumentNode& node, const FieldDescriptor& field) {
    if (field.message_type() != nullptr) return message(node, *field.message_type());
    add(node.line, checkScalar(node, field));
  }

  void any(const DocumentNode& node) {
    if (node.kind != Kind::kMap) return expect(node, Kind::kMap, "a map with @type");
    const DocumentField* typeField = node.find(kTypeKey);
    if (typeField == nullptr) return add(node.line, Error("needs an @type"));
    const Descriptor* type = anyType(*typeField);
    if (type == nullptr) return;
    if (!hasOwnJson(type->full_name())) return fields(node, *type, kTypeKey);
    const DocumentField* content = node.find("value");
    if (content == nullptr) {
      return add(node.line,
                 Error(fmt::format("needs a value beside the @type {}", type->full_name())));
    }
    for (const DocumentField& one : node.fields) {
      if (&one == typeField || &one == content) continue;
      if (full()) return;
      const Scope scope(*this, one.key);
      add(one.line, Error("no such field beside @type and value"));
    }
    const Scope scope(*this, content->key);
    message(*content->value, *type);
  }

  // The type that an @type names; null after an error.
  const Descriptor* anyType(const DocumentField& field) {
    const Scope scope(*this, std::string(kTypeKey));
    const DocumentNode& url = *field.value;
    if (url.kind != Kind::kString || !url.text.starts_with(kTypeUrlPrefix)) {
      const bool bare = url.kind == Kind::kString && isType(url.text);
      const std::string meant = std::string(kTypeUrlPrefix) + url.text;
      add(url.line, Error(url.describe() + " does not begin with " + std::string(kTypeUrlPrefix) +
                          (bare ? ", did you mean " + meant + "?" : "")));
      return nullptr;
    }
    const std::string name = url.text.substr(kTypeUrlPrefix.size());
    const Descriptor* type = pool().FindMessageTypeByName(name);
    if (type == nullptr) {
      add(url.line,
          Error("'" + shortened(name) + "' is no message type known here" + typeHint(name)));
    }
    return type;
  }

  static const google::protobuf::DescriptorPool& pool() {
    return *google::protobuf::DescriptorPool::generated_pool();
  }
  static bool isType(const std::string& name) {
    return pool().FindMessageTypeByName(name) != nullptr;
  }

  // There are enough errors for a reader: the check stops here.
  bool full() const { return errors_.size() > kMaxErrors; }

  void expect(const DocumentNode& node, Kind kind, const std::string& what) {
    if (node.kind != kind) add(node.line, Error(node.describe() + " is not " + what));
  }

  void add(int line, const Status& status) {
    if (status || full()) return;
    const std::string& message = status.error().message();
    if (errors_.size() == kMaxErrors) {
      errors_.push_back("and more");
    } else {
      errors_.push_back(
          errorAtLine(line, path_.empty() ? message : path_ + ": " + message).message());
    }
  }

  std::string path_;
  std::vector<std::string> errors_;
};

}  // namespace

Status checkMessage(const DocumentNode& node, const Descriptor& type) {
  Checker checker;
  checker.message(node, type);
  return checker.status();
}

}  // namespace sockmesh
