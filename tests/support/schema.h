// SPDX-License-Identifier: Apache-2.0
// Checks what is printed as JSON against docs/schemas/KIND.json.
#pragma once

#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

namespace sockmesh::test {

// Where `value` is not as the JSON Schema says, one line each: "items[0].vip: is not a string".
// Stricter than JSON Schema: a field that an object's schema does not name is a violation, unless
// the schema says additionalProperties. Knows the words of JSON Schema that docs/schemas uses, and
// reports any other word.
std::vector<std::string> violations(const nlohmann::ordered_json& schema,
                                    const nlohmann::ordered_json& value);

// The same for a document, by its kind. A kind without a schema is a violation.
std::vector<std::string> violations(const nlohmann::ordered_json& document);

// The kinds that have a schema.
std::set<std::string> documentedKinds();

}  // namespace sockmesh::test
