// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <sstream>

#include "cli_tree.h"

namespace sockmesh::ctl {
namespace {

// Text for troff: no byte of it is a command or an escape.
std::string escaped(const std::string& text) {
  std::string out;
  bool atStart = true;
  for (const char c : text) {
    if (atStart && (c == '.' || c == '\'')) out += "\\&";
    atStart = c == '\n';
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else {
      out += c;
    }
  }
  return out;
}

std::string placeholder(const CliOption& option) {
  if (option.choices.empty()) return option.value;
  std::string out;
  for (const std::string& word : option.choices) out += (out.empty() ? "" : "|") + word;
  return out;
}

std::string optionTitle(const CliOption& option) {
  std::string out;
  for (const std::string& name : option.names) {
    out += (out.empty() ? "" : ", ") + std::string("\\fB") + escaped(name) + "\\fR";
  }
  const bool shown = !option.positional && !option.value.empty();
  return shown ? out + " \\fI" + escaped(placeholder(option)) + "\\fR" : out;
}

std::string optionHelp(const CliOption& option) {
  std::string out = escaped(option.help);
  if (option.positional && !option.choices.empty()) out += ": " + escaped(placeholder(option));
  if (!option.defaultValue.empty()) out += " (default: " + escaped(option.defaultValue) + ")";
  return out;
}

bool isHelp(const CliOption& option) {
  return std::ranges::find(option.names, "--help") != option.names.end();
}

void addOptions(const CliCommand& command, std::ostringstream& out) {
  for (const CliOption& option : command.options) {
    if (isHelp(option)) continue;
    out << ".TP\n" << optionTitle(option) << "\n" << optionHelp(option) << "\n";
  }
}

std::string usageOf(const std::string& path, const CliCommand& command) {
  std::string out = "\\fB" + escaped(path) + "\\fR";
  for (const CliOption& option : command.options) {
    if (isHelp(option)) continue;
    const std::string text =
        option.positional ? "\\fI" + escaped(option.names.front()) + "\\fR" : optionTitle(option);
    out += option.required ? " " + text : " [" + text + "]";
  }
  return out;
}

void addFooter(const std::string& footer, std::ostringstream& out) {
  if (footer.empty()) return;
  out << ".PP\n.nf\n" << escaped(footer) << "\n.fi\n";
}

void addCommands(const std::string& path, const CliCommand& command, std::ostringstream& out) {
  for (const CliCommand& one : command.commands) {
    const std::string full = path.empty() ? one.name : path + " " + one.name;
    if (one.commands.empty()) {
      out << ".SS " << usageOf(full, one) << "\n" << escaped(one.help) << "\n";
      addOptions(one, out);
      addFooter(one.footer, out);
    } else {
      addCommands(full, one, out);
    }
  }
}

constexpr const char* kExitStatus = R"(.TP
0
done
.TP
1
failure, or the answer is that something is wrong
.TP
64
wrong command line
.TP
65
bad data
.TP
69
unavailable: no datapath on this node, a program that is not attached or has no effect, or no agent
.TP
79
\fBverify\fR found a difference
)";

}  // namespace

std::string manPage(const CliCommand& tree, const std::string& version) {
  std::ostringstream out;
  out << ".TH SOCKMESHCTL 8 \"\" \"sockmesh " << escaped(version) << "\" \"sockmesh\"\n"
      << ".ad l\n.nh\n"
      << ".SH NAME\nsockmeshctl \\- looks into sockmesh on this node\n"
      << ".SH SYNOPSIS\n\\fBsockmeshctl\\fR [\\fIoptions\\fR] \\fIcommand\\fR [\\fIoptions\\fR]\n"
      << ".SH DESCRIPTION\n"
      << escaped(tree.help) << "\n"
      << ".SH OPTIONS\nThese options are taken before and after every command.\n";
  addOptions(tree, out);
  out << ".SH COMMANDS\n";
  addCommands("", tree, out);
  out << ".SH EXIT STATUS\n" << kExitStatus;
  return out.str();
}

}  // namespace sockmesh::ctl
