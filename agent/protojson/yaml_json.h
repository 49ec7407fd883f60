// SPDX-License-Identifier: Apache-2.0
// YAML or JSON text into protobuf messages, by the rules of proto3 JSON (field names in snake_case
// or lowerCamelCase). Errors name the line and the field's path. Unknown fields are errors.
#pragma once

#include <string>
#include <vector>

#include <google/protobuf/message.h>

#include "base/result.h"
#include "protojson/document.h"

namespace sockmesh {

// The documents of a YAML stream, or one JSON text; see document.h. Quoted scalars stay strings;
// plain scalars are numbers, booleans or null if they look like it (YAML 1.2 core).
Result<std::vector<DocumentPtr>> parseDocuments(const std::string& text, int firstLine = 1);

// A part of a document into `message`.
Status parseNode(const DocumentNode& node, google::protobuf::Message& message);

// One document into `message`. `text` is YAML or JSON.
Status parseYamlOrJson(const std::string& text, google::protobuf::Message& message);
Status parseJson(const std::string& json, google::protobuf::Message& message);

}  // namespace sockmesh
