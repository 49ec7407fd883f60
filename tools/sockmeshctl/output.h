// SPDX-License-Identifier: Apache-2.0
// Documents as text.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "document.h"

namespace sockmesh::ctl {

// Raised when the meaning of a JSON field changes; new fields do not raise it.
inline constexpr int kSchemaVersion = 1;

enum class Format { kTable, kWide, kJson, kYaml };

std::optional<Format> parseFormat(std::string_view name);

// Ends with a newline. `headers`: column titles and headings of tables. Foreign names are shown by
// printable() in tables, and with the format's escapes in JSON and YAML. Tables are aligned by the
// columns of the terminal. Only kTable with headers cuts the longest names.
std::string render(const Document& document, Format format, bool headers);

// YAML 1.2 of the same data: strings that could be read as something else are quoted as in JSON.
std::string toYaml(const Json& json);

}  // namespace sockmesh::ctl
