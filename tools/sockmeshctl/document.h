// SPDX-License-Identifier: Apache-2.0
// The result of a command, independent of how it is printed: typed data for machines, tables for
// people. Commands make Documents out of a NodeView; output.h prints them.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/exit_code.h"

namespace sockmesh::ctl {

using Json = nlohmann::ordered_json;

struct Column {
  std::string title;
  bool wide = false;   // only with -o wide
  bool right = false;  // numbers
  bool whole = false;  // words of our own and no names: never cut
};

struct Table {
  std::vector<Column> columns;
  std::vector<std::vector<std::string>> rows;  // as many cells as columns; "" prints as "-"
};

// A table under a heading ("" for none), or only the heading if the table has no columns.
struct Section {
  std::string heading;
  Table table;
  bool wide = false;  // only with -o wide
};

struct Document {
  std::string kind;  // "ServiceList"; with the schema's version at the head of JSON and YAML
  Json data;         // an object
  std::vector<Section> sections;
  ExitCode exitCode = kExitOk;  // an answer may be a bad one
};

struct Failure {
  ExitCode exitCode = kExitFailure;
  std::string message;  // one line
};

// Printed as it is, whatever the format: a script, a page.
struct PlainText {
  std::string text;
};

// A command's end.
using Outcome = std::variant<Document, Failure, PlainText>;

}  // namespace sockmesh::ctl
