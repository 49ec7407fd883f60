// SPDX-License-Identifier: Apache-2.0
// The completion scripts in the shells that they are for. A shell that is not installed is a
// skipped test.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "cli.h"

namespace sockmesh::ctl::test {
namespace {

// Each completes a command line in its shell and prints the last word of what comes out, or all
// words that could follow. $1: our script, $2: the command line before the cursor.

// The words are split as readline splits them, also at "=".
constexpr const char* kBash = R"(
source "$1"
[[ $(complete -p sockmeshctl) == *" -F _sockmeshctl "* ]] || echo "not registered"
read -r -a COMP_WORDS <<<"${2//=/ = }"
[[ $2 == *" " ]] && COMP_WORDS+=('')
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_sockmeshctl
echo "${COMPREPLY[@]}"
)";

// A zsh that has a terminal, into which the line is typed, and then Tab.
constexpr const char* kZsh = R"(
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell "TERM=dumb; PS1=; autoload -Uz compinit; compinit -D -u; source $1"
zpty -w shell 'show() { zle -I; print -r -- "<<$BUFFER>>" }; zle -N show; bindkey "^X" show'
zpty -w shell 'print READY""!'
zpty -r shell out '*READY!*'
zpty -w -n shell "$2"$'\t\x18'
zpty -r shell out '*<<*>>*'
line=${${out##*<<}%%>>*}
print -r -- ${${line% }##*[ =]}
)";

constexpr const char* kFish = R"(
source $argv[1]
complete -C $argv[2] | string split -f 1 \t | string replace -r '^--.*=' '' | string join ' '
true # string replace fails where it replaces nothing
)";

struct Shell {
  std::string name;
  std::string start;  // the command that runs a file in it, as a new user has it
  const char* driver;
};

void PrintTo(const Shell& shell, std::ostream* out) {
  *out << shell.name;
}

struct Ran {
  int code = -1;
  std::string output;
};

Ran runInShell(const std::string& command) {
  Ran ran;
  FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) return ran;
  std::array<char, 512> part{};
  while (fgets(part.data(), part.size(), pipe) != nullptr) ran.output += part.data();
  const int status = pclose(pipe);
  if (WIFEXITED(status)) ran.code = WEXITSTATUS(status);
  return ran;
}

class Completion : public ::testing::TestWithParam<Shell> {
 protected:
  void SetUp() override {
    if (runInShell("command -v " + GetParam().name).code != 0) {
      GTEST_SKIP() << GetParam().name << " is not installed: NOTHING of its completion was tried";
    }
    std::string pattern = (std::filesystem::temp_directory_path() / "complete-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    std::ofstream(folder_ + "/driver") << GetParam().driver;
    std::ofstream script(folder_ + "/script");
    std::ostringstream errors;
    ASSERT_EQ(runCli({"completion", GetParam().name}, script, errors), 0) << errors.str();
  }
  void TearDown() override {
    if (!folder_.empty()) std::filesystem::remove_all(folder_);
  }

  std::string completed(const std::string& line) const {
    const Ran ran = runInShell("HOME=" + folder_ + " timeout 60 " + GetParam().start + " " +
                               folder_ + "/driver " + folder_ + "/script '" + line + "'");
    EXPECT_EQ(ran.code, 0) << line << ": " << ran.output;
    return ran.output.substr(0, ran.output.find_last_not_of('\n') + 1);
  }

  std::string folder_;
};

TEST_P(Completion, OfCommands) {
  EXPECT_EQ(completed("sockmeshctl serv"), "service");
  EXPECT_EQ(completed("sockmeshctl service l"), "list");
  EXPECT_EQ(completed("sockmeshctl -o json map d"), "dump") << "behind an option and its value";
}

TEST_P(Completion, OfOptions) {
  EXPECT_EQ(completed("sockmeshctl --bpf"), "--bpffs-root");
  EXPECT_EQ(completed("sockmeshctl endpoint list --ej"), "--ejected");
  EXPECT_EQ(completed("sockmeshctl status --no-h"), "--no-headers") << "one of all commands";
}

TEST_P(Completion, OfValues) {
  EXPECT_EQ(completed("sockmeshctl status -o js"), "json");
  EXPECT_EQ(completed("sockmeshctl status --output js"), "json");
  EXPECT_EQ(completed("sockmeshctl status --output=js"), "json");
  EXPECT_EQ(completed("sockmeshctl completion z"), "zsh");
  EXPECT_EQ(completed("sockmeshctl map dump conn_"), "conn_overflow");
}

INSTANTIATE_TEST_SUITE_P(Shells, Completion,
                         ::testing::Values(Shell{"bash", "bash --norc --noprofile", kBash},
                                           Shell{"zsh", "zsh -f", kZsh},
                                           Shell{"fish", "fish --no-config", kFish}),
                         [](const auto& shell) { return shell.param.name; });

}  // namespace
}  // namespace sockmesh::ctl::test
