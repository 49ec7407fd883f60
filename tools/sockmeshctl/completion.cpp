// SPDX-License-Identifier: Apache-2.0
// Completion scripts. Each has a function that finds the command of the words so far, and a table
// of what may follow. No script runs sockmeshctl.
#include <set>
#include <sstream>
#include <utility>

#include "cli_tree.h"

namespace sockmesh::ctl {
namespace {

struct Place {
  std::string path;  // " service list"; "" for none
  const CliCommand* command = nullptr;
};

void collect(const std::string& path, const CliCommand& command, std::vector<Place>& out) {
  out.push_back({path, &command});
  for (const CliCommand& one : command.commands) collect(path + " " + one.name, one, out);
}

std::vector<Place> placesOf(const CliCommand& tree) {
  std::vector<Place> places;
  collect("", tree, places);
  return places;
}

// Each option that takes a value, once: its names joined by '|', and its words.
std::vector<std::pair<std::string, std::vector<std::string>>> valuesOf(
    const std::vector<Place>& places) {
  std::vector<std::pair<std::string, std::vector<std::string>>> out;
  std::set<std::string> known;
  for (const Place& place : places) {
    for (const CliOption& option : place.command->options) {
      if (option.positional || option.value.empty()) continue;
      std::string names;
      for (const std::string& name : option.names) names += (names.empty() ? "" : "|") + name;
      if (known.insert(names).second) out.emplace_back(names, option.choices);
    }
  }
  return out;
}

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : " ") + word;
  return out;
}

// What may follow at a place: commands, words of a positional, and options; of the whole program
// too.
std::vector<std::pair<std::string, std::string>> wordsAt(const Place& place,
                                                         const CliCommand& tree) {
  std::vector<std::pair<std::string, std::string>> words;
  for (const CliCommand& one : place.command->commands) words.emplace_back(one.name, one.help);
  std::set<std::string> known;
  const auto add = [&](const CliCommand& command) {
    for (const CliOption& option : command.options) {
      if (option.positional) {
        for (const std::string& word : option.choices) words.emplace_back(word, "");
        continue;
      }
      const std::string& name = option.names.back();  // the long one
      if (known.insert(name).second) words.emplace_back(name, option.help);
    }
  };
  add(*place.command);
  if (place.command != &tree) add(tree);
  return words;
}

std::string namesAt(const Place& place, const CliCommand& tree) {
  std::vector<std::string> names;
  for (const auto& [name, help] : wordsAt(place, tree)) names.push_back(name);
  return joined(names);
}

// Inside single quotes of bash and zsh.
std::string quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

// Sets `at` from the words before the cursor, for bash and zsh: `words` is an array, `first` the
// index after the program's name.
void addPathLoop(const std::vector<Place>& places, const char* words, const char* first,
                 const char* end, std::ostringstream& out) {
  out << "  local at='' skip='' i word\n"
      << "  for ((i = " << first << "; i < " << end << "; i++)); do\n"
      << "    word=${" << words << "[i]}\n"
      << "    if [[ -n $skip ]]; then skip=''; continue; fi\n"
      << "    case $word in\n";
  for (const auto& [names, choices] : valuesOf(places)) {
    out << "      " << names << ") skip=1; continue ;;\n";
  }
  out << "    esac\n    case \"$at $word\" in\n";
  for (const Place& place : places) {
    if (!place.path.empty()) out << "      " << quoted(place.path) << ") at=\"$at $word\" ;;\n";
  }
  out << "    esac\n  done\n";
}

std::string bashScript(const CliCommand& tree) {
  const auto places = placesOf(tree);
  std::ostringstream out;
  out << "# bash completion of sockmeshctl: source <(sockmeshctl completion bash)\n"
      << "_sockmeshctl() {\n"
      << "  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}\n";
  // bash takes --output=json for three words.
  out << "  if [[ $cur == = ]]; then cur=''; "
         "elif [[ $prev == = ]]; then prev=${COMP_WORDS[COMP_CWORD - 2]}; fi\n";
  addPathLoop(places, "COMP_WORDS", "1", "COMP_CWORD", out);
  out << "  COMPREPLY=()\n  case $prev in\n";
  for (const auto& [names, choices] : valuesOf(places)) {
    out << "    " << names << ") ";
    if (!choices.empty()) {
      out << "COMPREPLY=($(compgen -W " << quoted(joined(choices)) << " -- \"$cur\")); ";
    }
    out << "return ;;\n";
  }
  out << "  esac\n  case $at in\n";
  for (const Place& place : places) {
    out << "    " << quoted(place.path) << ") COMPREPLY=($(compgen -W "
        << quoted(namesAt(place, tree)) << " -- \"$cur\")) ;;\n";
  }
  out << "  esac\n}\ncomplete -o default -F _sockmeshctl sockmeshctl\n";
  return out.str();
}

// _describe takes "name:help".
std::string zshWord(const std::string& name, const std::string& help) {
  std::string text;
  for (const char c : name) text += c == ':' ? std::string("\\:") : std::string(1, c);
  return quoted(help.empty() ? text : text + ":" + help);
}

std::string zshScript(const CliCommand& tree) {
  const auto places = placesOf(tree);
  std::ostringstream out;
  out << "#compdef sockmeshctl\n"
      << "# zsh completion of sockmeshctl: source <(sockmeshctl completion zsh)\n"
      << "_sockmeshctl() {\n  local -a found\n";
  addPathLoop(places, "words", "2", "CURRENT", out);
  out << "  local prev=${words[CURRENT-1]}\n"
      << "  if [[ ${words[CURRENT]} == --*=* ]]; then "
         "prev=${words[CURRENT]%%=*}; compset -P '*='; fi\n"
      << "  case $prev in\n";
  for (const auto& [names, choices] : valuesOf(places)) {
    out << "    " << names << ") ";
    out << (choices.empty() ? std::string("_files") : "compadd -- " + joined(choices))
        << "; return ;;\n";
  }
  out << "  esac\n  case $at in\n";
  for (const Place& place : places) {
    out << "    " << quoted(place.path) << ") found=(";
    for (const auto& [name, help] : wordsAt(place, tree)) out << " " << zshWord(name, help);
    out << " ) ;;\n";
  }
  out << "  esac\n  _describe -t words sockmeshctl found\n}\n"
      << "if [[ $funcstack[1] == _sockmeshctl ]]; then _sockmeshctl \"$@\"; else compdef "
         "_sockmeshctl sockmeshctl; fi\n";
  return out.str();
}

// Inside single quotes of fish.
std::string fishQuoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) out += (c == '\'' || c == '\\' ? "\\" : "") + std::string(1, c);
  return out + "'";
}

void addFishPath(const std::vector<Place>& places, std::ostringstream& out) {
  out << "# Whether the words so far lead to this command.\n"
      << "function __sockmeshctl_at\n"
      << "  set -l path ''\n  set -l skip 0\n"
      << "  for word in (commandline -opc)[2..-1]\n"
      << "    if test $skip = 1\n      set skip 0\n      continue\n    end\n"
      << "    switch $word\n      case";
  for (const auto& [names, choices] : valuesOf(places)) {
    std::istringstream list(names);
    for (std::string name; std::getline(list, name, '|');) out << " " << name;
  }
  out << "\n        set skip 1\n        continue\n    end\n    switch \"$path $word\"\n      case";
  for (const Place& place : places) {
    if (!place.path.empty()) out << " " << fishQuoted(place.path);
  }
  out << "\n        set path \"$path $word\"\n    end\n  end\n  test \"$path\" = "
         "\"$argv[1]\"\nend\n";
}

void addFishOption(const CliOption& option, const std::string& at, std::ostringstream& out) {
  if (option.positional) {
    if (option.choices.empty()) return;
    out << "complete -c sockmeshctl -f" << at << " -a " << fishQuoted(joined(option.choices))
        << "\n";
    return;
  }
  out << "complete -c sockmeshctl" << at;
  for (const std::string& name : option.names) {
    const bool isLong = name.starts_with("--");
    out << (isLong ? " -l " : " -s ") << name.substr(isLong ? 2 : 1);
  }
  if (!option.value.empty()) {
    out << (option.choices.empty() ? " -r" : " -x -a " + fishQuoted(joined(option.choices)));
  }
  out << " -d " << fishQuoted(option.help) << "\n";
}

std::string fishScript(const CliCommand& tree) {
  const auto places = placesOf(tree);
  std::ostringstream out;
  out << "# fish completion of sockmeshctl: sockmeshctl completion fish | source\n";
  addFishPath(places, out);
  for (const Place& place : places) {
    const std::string at = " -n " + fishQuoted("__sockmeshctl_at " + fishQuoted(place.path));
    for (const CliCommand& one : place.command->commands) {
      out << "complete -c sockmeshctl -f" << at << " -a " << one.name << " -d "
          << fishQuoted(one.help) << "\n";
    }
    for (const CliOption& option : place.command->options) {
      addFishOption(option, place.path.empty() ? "" : at, out);
    }
  }
  return out.str();
}

}  // namespace

std::string completionScript(const CliCommand& tree, const std::string& shell) {
  if (shell == "bash") return bashScript(tree);
  if (shell == "zsh") return zshScript(tree);
  return shell == "fish" ? fishScript(tree) : "";
}

}  // namespace sockmesh::ctl
