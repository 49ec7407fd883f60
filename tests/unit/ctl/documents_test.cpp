// SPDX-License-Identifier: Apache-2.0
// What is generated from the command line: completion scripts and the manual page.
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "cli.h"

namespace sockmesh::ctl::test {
namespace {

std::string shown(const std::vector<std::string>& arguments) {
  std::ostringstream out;
  std::ostringstream err;
  EXPECT_EQ(runCli(arguments, out, err), 0) << err.str();
  return out.str();
}

// What a shell command prints.
std::string printedBy(const std::string& command) {
  std::string text;
  FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return text;
  std::array<char, 4096> chunk{};
  while (fgets(chunk.data(), chunk.size(), pipe) != nullptr) text += chunk.data();
  pclose(pipe);
  return text;
}

class Documents : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "ctl-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string file(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ + "/" + name) << text;
    return folder_ + "/" + name;
  }
  // What bash offers for a line whose last word is begun; "''" is an empty word.
  std::set<std::string> offered(const std::string& line) const {
    const std::string script = file("completion", shown({"completion", "bash"}));
    const std::string run = file("run", ". " + script + "\nCOMP_WORDS=(sockmeshctl " + line +
                                            ")\nCOMP_CWORD=$((${#COMP_WORDS[@]} - 1))\n"
                                            "_sockmeshctl\nprintf '%s\\n' \"${COMPREPLY[@]}\"\n");
    std::istringstream lines(printedBy("bash --norc " + run + " 2>&1"));
    std::set<std::string> words;
    for (std::string word; std::getline(lines, word);) {
      if (!word.empty()) words.insert(word);
    }
    return words;
  }

  std::string folder_;
};

using Words = std::set<std::string>;

TEST_F(Documents, BashOffersCommandsOptionsAndWords) {
  EXPECT_EQ(offered("ser"), Words{"service"});
  EXPECT_EQ(offered("service l"), Words{"list"});
  EXPECT_EQ(offered("-o ''"), (Words{"table", "wide", "json", "yaml"}));
  EXPECT_EQ(offered("service -o js"), Words{"json"});
  EXPECT_EQ(offered("-o json service li"), Words{"list"});
  EXPECT_EQ(offered("service list --v"), (Words{"--version", "--vip"}));
  EXPECT_EQ(offered("map dump conn_"), Words{"conn_overflow"});
  EXPECT_EQ(offered("completion ''").count("fish"), 1u);
  EXPECT_EQ(offered("verify --rep"), Words{"--repair"});
  // The word after an option is its value, also if it is a command's name.
  EXPECT_EQ(offered("--bpffs-root service li"), Words{});
}

// Every command is in every script, also in those of shells that are not here.
TEST_F(Documents, EveryScriptHasEveryCommand) {
  const std::vector<std::string> commands = {"status", "service", "list",    "dump",
                                             "verify", "explain", "connect", "completion"};
  for (const char* shell : {"bash", "zsh", "fish"}) {
    const std::string script = shown({"completion", shell});
    for (const std::string& command : commands) {
      EXPECT_NE(script.find(command), std::string::npos) << shell << " " << command;
    }
  }
  EXPECT_TRUE(shown({"completion", "zsh"}).starts_with("#compdef sockmeshctl\n"));
}

// Shells that are there take the scripts.
TEST_F(Documents, ShellsTakeTheScripts) {
  for (const char* shell : {"bash", "zsh", "fish"}) {
    const std::string script = file(shell, shown({"completion", shell}));
    const std::string check = std::string("command -v ") + shell + " >/dev/null || exit 0; " +
                              shell + " -n " + script + " 2>&1 && exit 0; echo failed";
    EXPECT_EQ(printedBy(check), "") << shell;
  }
}

TEST_F(Documents, TheManualPageIsRightForGroff) {
  const std::string page = shown({"man"});
  EXPECT_TRUE(page.starts_with(".TH SOCKMESHCTL 8")) << page.substr(0, 80);
  for (const char* part : {".SH COMMANDS", "verify", "\\-\\-repair", "table|wide|json|yaml",
                           "/sys/fs/bpf", ".SH EXIT STATUS"}) {
    EXPECT_NE(page.find(part), std::string::npos) << part;
  }
  const std::string problems =
      printedBy("command -v groff >/dev/null || exit 0; groff -man -z -W break " +
                file("page", page) + " 2>&1");
  EXPECT_EQ(problems, "");
}

}  // namespace
}  // namespace sockmesh::ctl::test
