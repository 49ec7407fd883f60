// SPDX-License-Identifier: Apache-2.0
#include "cli_tree.h"

#include <CLI/CLI.hpp>
#include <sstream>

namespace sockmesh::ctl {
namespace {

// "TEXT:{table,wide}" has the words of a validator.
std::vector<std::string> choicesOf(const std::string& typeName) {
  const std::size_t from = typeName.find('{');
  const std::size_t to = typeName.find('}', from);
  std::vector<std::string> words;
  if (from == std::string::npos || to == std::string::npos) return words;
  std::istringstream list(typeName.substr(from + 1, to - from - 1));
  for (std::string word; std::getline(list, word, ',');) words.push_back(word);
  return words;
}

// "TEXT:IP" says more in its second part; a list of words is shown by itself.
std::string valueOf(const CLI::Option& option) {
  if (option.get_items_expected_max() == 0) return "";
  const std::string typeName = option.get_type_name();
  if (typeName.find('{') != std::string::npos) return "WORD";
  const std::size_t colon = typeName.find(':');
  std::string shown = colon == std::string::npos ? typeName : typeName.substr(colon + 1);
  if (const std::size_t more = shown.find(" in "); more != std::string::npos) shown.resize(more);
  return shown;
}

CliOption optionOf(const CLI::Option& option) {
  CliOption out;
  for (const std::string& name : option.get_snames()) out.names.push_back("-" + name);
  for (const std::string& name : option.get_lnames()) out.names.push_back("--" + name);
  out.positional = out.names.empty();
  if (out.positional) out.names.push_back(option.get_name());
  out.required = option.get_required();
  out.value = valueOf(option);
  out.choices = choicesOf(option.get_type_name());
  out.help = option.get_description();
  if (!out.value.empty()) out.defaultValue = option.get_default_str();
  return out;
}

}  // namespace

CliCommand treeOf(const CLI::App& app) {
  CliCommand out;
  out.name = app.get_name();
  out.help = app.get_description();
  out.footer = app.get_footer();
  for (const CLI::Option* option : app.get_options()) out.options.push_back(optionOf(*option));
  const auto all = [](const CLI::App*) { return true; };
  for (const CLI::App* command : app.get_subcommands(all)) {
    out.commands.push_back(treeOf(*command));
  }
  return out;
}

}  // namespace sockmesh::ctl
