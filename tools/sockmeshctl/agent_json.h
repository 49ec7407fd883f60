// SPDX-License-Identifier: Apache-2.0
// Reads JSON that another version of the agent may have written. A field that is missing or of
// another type counts as empty.
#pragma once

#include <string>

#include "document.h"

namespace sockmesh::ctl {

// A field as text. "" if it is missing or null.
std::string text(const Json& json, const char* field);
// A field of that type, or an empty value of it.
Json child(const Json& json, const char* field, Json::value_t type);
// The strings of a field. Elements of other types are ignored.
std::vector<std::string> strings(const Json& json, const char* field);

}  // namespace sockmesh::ctl
