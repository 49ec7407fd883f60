// SPDX-License-Identifier: Apache-2.0
#include "base/usage_problem.h"

#include <CLI/CLI.hpp>
#include <optional>
#include <string_view>
#include <vector>

#include "base/printable.h"
#include "base/suggestion.h"

namespace sockmesh {
namespace {

bool any(const CLI::App*) {
  return true;
}

std::string inQuotes(std::string_view word) {
  return "\"" + printable(word) + "\"";
}

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : ", ") + word;
  return out;
}

// The app and the commands that were chosen below it, outermost first.
std::vector<const CLI::App*> chosen(const CLI::App& app) {
  std::vector<const CLI::App*> path = {&app};
  while (!path.back()->get_subcommands().empty()) {
    path.push_back(path.back()->get_subcommands().front());
  }
  return path;
}

std::vector<std::string> commandsOf(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands(any)) names.push_back(command->get_name());
  return names;
}

std::vector<std::string> flagsOf(const std::vector<const CLI::App*>& path) {
  std::vector<std::string> flags;
  for (const CLI::App* app : path) {
    for (const CLI::Option* option : app->get_options()) {
      for (const std::string& name : option->get_lnames()) flags.push_back("--" + name);
    }
  }
  return flags;
}

// "service list" for "list", if a parent command has it and the program itself does not.
std::optional<std::string> inGroup(const CLI::App& app, const std::string& word) {
  std::vector<std::string> found;
  for (const CLI::App* group : app.get_subcommands(any)) {
    for (const std::string& command : commandsOf(*group)) {
      if (command == word) found.push_back(group->get_name() + " " + command);
    }
  }
  if (found.empty()) return std::nullopt;
  return joined(found);
}

std::string unknownCommand(const std::vector<const CLI::App*>& path, const std::string& word) {
  const std::string problem = "unknown command " + inQuotes(word);
  // A word may stand before or after the command.
  for (auto app = path.rbegin(); app != path.rend(); ++app) {
    const std::string hint = didYouMean(word, commandsOf(**app));
    if (!hint.empty()) return problem + hint;
  }
  if (const auto elsewhere = inGroup(*path.front(), word)) {
    return problem + ", did you mean one of: " + *elsewhere + "?";
  }
  return problem + "; the commands are " + joined(commandsOf(*path.back()));
}

std::string unknownWord(const std::vector<const CLI::App*>& path, const std::string& word) {
  if (!commandsOf(*path.back()).empty()) return unknownCommand(path, word);
  return "unexpected argument " + inQuotes(word) + didYouMean("--" + word, flagsOf(path));
}

std::string unknownFlag(const std::vector<const CLI::App*>& path, const std::string& word) {
  const std::string name = word.substr(0, word.find('='));
  return "unknown flag " + inQuotes(name) + didYouMean(name, flagsOf(path));
}

std::string missingCommand(const CLI::App& app, bool outermost) {
  const std::string commands = joined(commandsOf(app));
  return outermost ? "a command is needed: " + commands
                   : "\"" + app.get_name() + "\" needs a command: " + commands;
}

}  // namespace

std::string usageProblem(const CLI::App& app, const CLI::ParseError& error) {
  const auto path = chosen(app);
  const std::vector<std::string> unknown = app.remaining(true);
  if (!unknown.empty()) {
    const std::string& first = unknown.front();
    return first.starts_with('-') ? unknownFlag(path, first) : unknownWord(path, first);
  }
  const bool required = dynamic_cast<const CLI::RequiredError*>(&error) != nullptr;
  if (required && !commandsOf(*path.back()).empty()) {
    return missingCommand(*path.back(), path.size() == 1);
  }
  const std::string_view text = error.what();
  return printable(text.substr(0, text.find('\n')));
}

}  // namespace sockmesh
