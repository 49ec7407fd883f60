// SPDX-License-Identifier: Apache-2.0
// Exit codes and streams of whole command lines, without maps and without an agent.
#include "cli.h"
#include "sockmesh_abi.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

namespace sockmesh::ctl::test {
namespace {

struct Ran {
  int exitCode = 0;
  std::string out;
  std::string err;
};

Ran run(const std::vector<std::string>& arguments) {
  std::ostringstream out;
  std::ostringstream err;
  const int exitCode = runCli(arguments, out, err);
  return {exitCode, out.str(), err.str()};
}

class CliTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "ctl-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    root_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  // Nobody listens on port 1 of loopback.
  Ran onNode(std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"--bpffs-root", root_, "--admin-address", "127.0.0.1:1"});
    return run(arguments);
  }

  std::string root_;
};

TEST_F(CliTest, WithoutAnAgentThereAreNoLogLevels) {
  const Ran list = onNode({"log", "list"});
  EXPECT_EQ(list.exitCode, 69);
  EXPECT_EQ(list.err,
            "sockmeshctl: the agent does not answer at 127.0.0.1:1: Connection refused\n");
  const std::string socket = root_ + "/admin.sock";
  const Ran set = onNode({"log", "set", "xds=debug", "--admin-socket", socket});
  EXPECT_EQ(set.exitCode, 69);
  EXPECT_EQ(set.err, "sockmeshctl: the agent does not answer at " + socket +
                         ": No such file or directory\n");
  EXPECT_EQ(onNode({"log", "set"}).exitCode, 64);
}

TEST_F(CliTest, HelpIsData) {
  const Ran help = run({"--help"});
  EXPECT_EQ(help.exitCode, 0);
  EXPECT_NE(help.out.find("endpoint"), std::string::npos);
  EXPECT_EQ(help.err, "");
  EXPECT_EQ(run({"service", "list", "--help"}).exitCode, 0);
}

TEST_F(CliTest, WrongUsageIs64AndOneLine) {
  for (const std::vector<std::string>& arguments : std::vector<std::vector<std::string>>{
           {},
           {"servce"},
           {"service"},
           {"service", "list", "-o", "xml"},
           {"service", "list", "--port", "70000"},
           {"service", "list", "--vip", "10.0.0.256"},
           {"endpoint", "list", "--service", "10.0.0.1"},
           {"explain"},
           {"explain", "10.0.0.1"},
           {"explain", "10.0.0.1:80", "--source", "10.0.0.1:80"},
           {"explain"},
           {"explain", "10.0.0.1"},
           {"explain", "10.0.0.1:80", "--source", "10.0.0.1:80"},
           {"map", "dump"},
           {"map", "dump", "frontend"},
           {"status", "--admin-address", "localhost"},
       }) {
    const Ran wrong = run(arguments);
    EXPECT_EQ(wrong.exitCode, 64) << ::testing::PrintToString(arguments);
    EXPECT_EQ(wrong.out, "");
    EXPECT_EQ(std::count(wrong.err.begin(), wrong.err.end(), '\n'), 1) << wrong.err;
  }
}

TEST_F(CliTest, AWrongWordIsNamedWithTheRightOne) {
  const auto says = [](const std::vector<std::string>& arguments, const std::string& message) {
    const Ran wrong = run(arguments);
    EXPECT_EQ(wrong.exitCode, 64);
    EXPECT_EQ(wrong.err, "sockmeshctl: " + message + " (see sockmeshctl --help)\n");
  };
  says({"servce", "list"}, R"(unknown command "servce", did you mean service?)");
  says({"service", "lsit"}, R"(unknown command "lsit", did you mean list?)");
  says({"lsit", "service"}, R"(unknown command "lsit", did you mean list?)");
  says({"statsu"}, R"(unknown command "statsu", did you mean status?)");
  says({"-o", "json", "statsu"}, R"(unknown command "statsu", did you mean status?)");
  says({"dump", "names"}, R"(unknown command "dump", did you mean one of: map dump?)");
  says(
      {"banana"},
      R"(unknown command "banana"; the commands are service, route, endpoint, ejection, map, explain, )"
      "connect, verify, monitor, top, status, version, history, diff, log, completion, man");
  says({"\x1b[2Jx"},
       R"(unknown command "\x1b[2Jx"; the commands are service, route, endpoint, ejection, map, )"
       "explain, connect, verify, monitor, top, status, version, history, diff, log, completion, "
       "man");
  says({"service", "list", "extra"}, R"(unexpected argument "extra")");
  says({},
       "a command is needed: service, route, endpoint, ejection, map, explain, connect, verify, "
       "monitor, top, status, version, history, diff, log, completion, man");
  says({"map"}, R"("map" needs a command: list, dump)");
}

TEST_F(CliTest, AWrongFlagOrValueIsNamedWithTheRightOne) {
  const auto says = [](const std::vector<std::string>& arguments, const std::string& message) {
    const Ran wrong = run(arguments);
    EXPECT_EQ(wrong.exitCode, 64);
    EXPECT_NE(wrong.err.find(message), std::string::npos) << wrong.err;
  };
  says({"status", "--outptu", "json"}, R"(unknown flag "--outptu", did you mean --output?)");
  says({"--outptu=json", "status"}, R"(unknown flag "--outptu", did you mean --output?)");
  says({"service", "list", "--prot", "80"}, R"(unknown flag "--prot", did you mean --port?)");
  says({"endpoint", "list", "--Ejected"}, R"(unknown flag "--Ejected", did you mean --ejected?)");
  says({"--bpfs-root", "/x", "servce"},
       R"(unknown flag "--bpfs-root", did you mean --bpffs-root?)");
  says({"status", "-z"}, R"(unknown flag "-z")");
  says({"status", "-o", "jsn"}, R"(unknown "jsn", did you mean json?)");
  says({"status", "-o", "xml"}, R"(unknown "xml"; known are table, wide, json, yaml)");
  says({"map", "dump", "conections"}, R"(unknown "conections", did you mean connections?)");
  says({"explain"}, "VIP:PORT is required");
  says({"--bpffs-root"}, "--bpffs-root");
}

TEST_F(CliTest, VersionIsAFlagEverywhere) {
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{"--version"}, {"status", "--version"}}) {
    const Ran version = run(arguments);
    EXPECT_EQ(version.exitCode, 0);
    EXPECT_TRUE(version.out.starts_with("sockmeshctl ")) << version.out << version.err;
    EXPECT_EQ(version.err, "");
  }
}

TEST_F(CliTest, AFailureIsJsonForWhoReadsJson) {
  const Ran nothing = onNode({"status", "-o", "json"});
  EXPECT_EQ(nothing.exitCode, 69);
  const auto json = nlohmann::json::parse(nothing.out, nullptr, false);
  ASSERT_TRUE(json.is_object()) << nothing.out;
  EXPECT_EQ(json["kind"], "Failure");
  EXPECT_EQ(json["exitCode"], 69);
  EXPECT_EQ("sockmeshctl: " + json["message"].get<std::string>() + "\n", nothing.err);
}

TEST_F(CliTest, HelpOfMapDumpSaysHowToFindALineOfSs) {
  const Ran help = run({"map", "dump", "--help"});
  EXPECT_EQ(help.exitCode, 0);
  EXPECT_NE(help.out.find("ss -tne"), std::string::npos) << help.out;
  EXPECT_NE(help.out.find("nsenter --net=NETNS-PATH"), std::string::npos);
}

TEST_F(CliTest, NothingPinnedIs69AndSaysWhereItLooked) {
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{"status"},
                                             {"service", "list"},
                                             {"endpoint", "list"},
                                             {"explain", "10.0.0.1:80"},
                                             {"explain", "10.0.0.1:80"},
                                             {"map", "list"},
                                             {"map", "dump", "names"}}) {
    const Ran nothing = onNode(arguments);
    EXPECT_EQ(nothing.exitCode, 69);
    EXPECT_EQ(nothing.out, "");
    EXPECT_EQ(nothing.err, "sockmeshctl: no sockmesh maps under " + root_ + "/sockmesh-v" +
                               std::to_string(SM_ABI_VERSION) +
                               ", is sockmeshd installed on this node?\n");
  }
}

TEST_F(CliTest, MapsOfAnotherAbiAreNamed) {
  std::filesystem::create_directories(root_ + "/sockmesh-v999/maps");
  std::filesystem::permissions(root_ + "/sockmesh-v999", std::filesystem::perms(0700));
  const Ran other = onNode({"status"});
  EXPECT_EQ(other.exitCode, 69);
  EXPECT_NE(other.err.find("sockmesh-v999"), std::string::npos) << other.err;
}

TEST_F(CliTest, VersionWorksWithoutAnAgent) {
  const Ran version = onNode({"version", "-o", "json"});
  EXPECT_EQ(version.exitCode, 0);
  const auto json = nlohmann::json::parse(version.out, nullptr, false);
  ASSERT_TRUE(json.is_object()) << version.out;
  EXPECT_EQ(json["kind"], "Version");
  EXPECT_EQ(json["schemaVersion"], 1);
  EXPECT_TRUE(json["sockmeshd"].is_null());
}

TEST_F(CliTest, GlobalFlagsMayStandBeforeTheCommand) {
  EXPECT_EQ(run({"--bpffs-root", root_, "-o", "yaml", "service", "list"}).exitCode, 69);
}

TEST_F(CliTest, WatchingEndsAfterTheTimesOrWithTheAgent) {
  const Ran ran = onNode({"service", "list", "--watch", "--interval", "0.01", "--times", "3"});
  EXPECT_EQ(ran.exitCode, 69) << "there are no maps here, and they do not come";
  EXPECT_EQ(onNode({"service", "list", "--watch", "--interval", "10ms", "--times", "2"}).exitCode,
            ran.exitCode);
  EXPECT_EQ(onNode({"service", "list", "--watch", "--interval", "0"}).exitCode, 64);
  EXPECT_EQ(onNode({"service", "list", "--watch", "--interval", "2 weeks"}).exitCode, 64);
  EXPECT_EQ(onNode({"verify", "--watch"}).exitCode, 64);
  EXPECT_EQ(onNode({"top", "--interval", "0.01", "--times", "1"}).exitCode, 69);
}

}  // namespace
}  // namespace sockmesh::ctl::test
