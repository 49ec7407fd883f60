// SPDX-License-Identifier: Apache-2.0
// What the command line takes, as plain values: completion scripts and the man page are made of it.
#pragma once

#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace sockmesh::ctl {

struct CliOption {
  std::vector<std::string> names;  // "-o", "--output"; of a positional its one name: "NAME"
  bool positional = false;
  bool required = false;
  std::string value;                 // "PATH"; "" of a flag
  std::vector<std::string> choices;  // the words that it takes; empty: anything
  std::string help;
  std::string defaultValue;  // "" if there is none
};

struct CliCommand {
  std::string name;
  std::string help;
  std::string footer;
  std::vector<CliOption> options;
  std::vector<CliCommand> commands;
};

CliCommand treeOf(const CLI::App& app);

// A script that teaches the shell to complete the command line: "bash", "zsh" or "fish". "" for
// another shell.
std::string completionScript(const CliCommand& tree, const std::string& shell);

// The page in man(7)'s language.
std::string manPage(const CliCommand& tree, const std::string& version);

}  // namespace sockmesh::ctl
