// SPDX-License-Identifier: Apache-2.0
// What an operator reads: first lines, last lines, refusals.
#include <signal.h>
#include <sys/mount.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/defaults.h"
#include "inspect/attachment_info.h"
#include "integration/mesh_test.h"
#include "maps/pin_path.h"
#include "maps/program_names.h"

namespace sockmesh::test {
namespace {

std::vector<std::string> linesOf(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

class People : public MeshTest {
 protected:
  Ran cleanUp() const {
    return run({binary("sockmeshd"), "--cleanup", "--bpffs-root", sandbox_->bpffs()});
  }
};

TEST_F(People, TheFirstLineOfMainSaysWhatWasAttachedAndHowToUndoIt) {
  mesh_->startAgent();
  ASSERT_TRUE(mesh_->agent().awaitLog("sockmeshd "));
  const std::vector<std::string> lines = linesOf(mesh_->agent().log());
  const std::string first = *std::ranges::find_if(
      lines, [](const std::string& line) { return contains(line, " main: "); });
  const std::string undo = "sockmeshd --cleanup --bpffs-root " + sandbox_->bpffs();
  for (const std::string& part :
       {"attached to " + sandbox_->cgroup() + " (cgroup ",
        "pinned under " + PinPath(sandbox_->bpffs()).folder, "to undo that, end it and run " + undo,
        std::string("admin on ") + kDefaultAdminAddress}) {
    EXPECT_TRUE(contains(first, part)) << part << "\n" << first;
  }
  mesh_->agent().signal(SIGTERM);
  EXPECT_EQ(mesh_->agent().wait(), 0);
  EXPECT_TRUE(contains(mesh_->agent().log(), "stays in place until " + undo))
      << mesh_->agent().log();
}

TEST_F(People, LogLevelsChangeOnTheUnixSocketAlone) {
  mesh_->startAgent();
  ASSERT_TRUE(mesh_->agent().awaitLog("sockmeshd "));
  const auto ctl = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), binary("sockmeshctl"));
    arguments.insert(arguments.end(), {"--admin-socket", mesh_->adminSocket(), "--no-headers"});
    return run(arguments);
  };
  const Ran changed = ctl({"log", "set", "warn", "xds=debug"});
  EXPECT_EQ(changed.code, 0) << changed.output;
  const Ran list = ctl({"log", "list", "-o", "json"});
  EXPECT_TRUE(contains(list.output, R"("xds": "debug")")) << list.output;
  EXPECT_TRUE(contains(list.output, R"("main": "warning")")) << list.output;
  const Ran wrong = ctl({"log", "set", "xsd=debug"});
  EXPECT_EQ(wrong.code, 64);
  EXPECT_TRUE(contains(wrong.output, "the agent refuses: no log scope \"xsd\"")) << wrong.output;
}

// /proc takes no folder. A path that was asked for has to work.
TEST_F(People, ASocketThatWasAskedForHasToWork) {
  auto command = mesh_->agentCommand();
  command.insert(command.end(), {"--admin-socket", "/proc/none/admin.sock"});
  const Ran ran = run(command);
  EXPECT_EQ(ran.code, 1);
  EXPECT_TRUE(contains(ran.output, "sockmeshd: admin socket /proc/none/admin.sock: "))
      << ran.output;
}

// As in a container whose file system is read-only.
TEST_F(People, WithoutAPlaceForTheDefaultSocketTheAgentWarnsAndGoesOn) {
  ASSERT_EQ(mount("none", "/run", "tmpfs", MS_RDONLY, nullptr), 0);
  auto command = mesh_->agentCommand();
  const auto flag = std::ranges::find(command, "--admin-socket");
  ASSERT_NE(flag, command.end());
  command.erase(flag, flag + 2);
  {
    Process agent(command, sandbox_->folder() + "/read-only.log");
    EXPECT_TRUE(agent.awaitLog("attached to ")) << agent.log();
    EXPECT_TRUE(contains(agent.log(), "nobody can change log levels")) << agent.log();
  }
  umount2("/run", MNT_DETACH);
}

TEST_F(People, CleanupSaysWhatItRemoved) {
  mesh_->serve("a.yaml", serviceYaml(kVip, "a", {hosts_[0]}));
  mesh_->startControlPlane();
  mesh_->startAgent();
  ASSERT_TRUE(mesh_->ready()) << mesh_->agent().log();
  mesh_->killAgent();
  const PinPath pins(sandbox_->bpffs());
  const auto in = [](const std::string& folder) {
    return std::to_string(
        std::ranges::count_if(std::filesystem::directory_iterator(folder),
                              [](const auto& entry) { return !entry.is_directory(); }));
  };
  const std::string expected =
      pins.folder + ": detached and removed " + in(pins.links()) + " programs (";
  const std::string maps =
      "removed " + in(pins.maps()) + " maps and " + in(pins.maps() + "/pages") + " pages of them";
  const Ran cleaned = cleanUp();
  EXPECT_EQ(cleaned.code, 0);
  EXPECT_TRUE(contains(cleaned.output, expected)) << cleaned.output;
  EXPECT_TRUE(contains(cleaned.output, maps)) << maps << "\n" << cleaned.output;
  for (const std::string& program : programNames()) {
    EXPECT_TRUE(contains(cleaned.output, program)) << cleaned.output;
  }
  EXPECT_TRUE(contains(cleaned.output, sandbox_->bpffs() + ": unmounted")) << cleaned.output;
  const Ran again = cleanUp();
  EXPECT_EQ(again.code, 0);
  EXPECT_EQ(again.output, "nothing to remove: no pins under " + sandbox_->bpffs() + "\n");
}

TEST_F(People, ConnectShowsWhereAVipLeads) {
  mesh_->serve("a.yaml", serviceYaml(kVip, "a", {hosts_[0], hosts_[1]}));
  mesh_->startControlPlane();
  mesh_->startAgent();
  ASSERT_TRUE(mesh_->ready()) << mesh_->agent().log();
  const std::vector<std::string> command = {binary("sockmeshctl"), "connect", kVip, "--count", "10",
                                            "--rewritten"};
  const Ran balanced = run(command);
  EXPECT_EQ(balanced.code, 0) << balanced.output;
  EXPECT_TRUE(contains(balanced.output, "10 of 10 connections established, 10 rewritten"))
      << balanced.output;
  for (const std::string& host : {hosts_[0], hosts_[1]}) {
    EXPECT_TRUE(contains(balanced.output, host)) << balanced.output;
  }
  // Outside the cgroup, and to an address that is no VIP, nothing is rewritten.
  ASSERT_TRUE(sandbox_->leave());
  const Ran outside = run({binary("sockmeshctl"), "connect", hosts_[0], "--rewritten"});
  EXPECT_EQ(outside.code, 1) << outside.output;
  EXPECT_TRUE(contains(outside.output, "not rewritten")) << outside.output;
}

TEST_F(People, AWrongCommandLineIsNamedWithTheRightOne) {
  const auto says = [](const std::vector<std::string>& arguments, const std::string& expected) {
    auto command = arguments;
    command[0] = binary(command[0]);
    const Ran ran = run(command);
    EXPECT_EQ(ran.code, 64) << ran.output;
    EXPECT_EQ(ran.output, arguments[0] + ": " + expected + " (see " +
                              (arguments[0] == "sockmesh-xds" ? "" : arguments[0] + " ") +
                              "--help)\n");
  };
  says({"sockmeshd", "--xds-adress", "h:1"},
       R"(unknown flag "--xds-adress", did you mean --xds-address?)");
  says({"sockmeshd", "cleanup"}, R"(unexpected argument "cleanup", did you mean --cleanup?)");
  says({"sockmeshctl", "servce"}, R"(unknown command "servce", did you mean service?)");
  says({"sockmesh-xds", "--lisen", "127.0.0.1:0", "/tmp"},
       R"(unknown flag "--lisen", did you mean --listen?)");
  for (const char* name : {"sockmeshd", "sockmeshctl", "sockmesh-xds"}) {
    const Ran version = run({binary(name), "--version"});
    EXPECT_EQ(version.code, 0) << version.output;
    EXPECT_TRUE(version.output.starts_with(std::string(name) + " ")) << version.output;
  }
}

TEST_F(People, AUrlForTheControlPlaneIsRefusedAtStart) {
  auto command = mesh_->agentCommand();
  command.insert(command.end(), {"--xds-address", "http://h:1"});
  const Ran ran = run(command);
  EXPECT_EQ(ran.code, 65);
  EXPECT_EQ(ran.output,
            "sockmeshd: ads.address: \"http://h:1\" is a URL, HOST:PORT is wanted: write "
            "\"h:1\"\n");
  EXPECT_FALSE(std::filesystem::exists(PinPath(sandbox_->bpffs()).folder));
  const Ran server = run({binary("sockmesh-xds"), "--listen", "http://h:1", mesh_->folder()});
  EXPECT_EQ(server.code, 64);
  EXPECT_TRUE(contains(server.output, "write \"h:1\"")) << server.output;
}

TEST_F(People, AFileThatEmptiesOrVanishesIsSaid) {
  mesh_->serve("a.yaml", serviceYaml(kVip, "a", {hosts_[0]}));
  mesh_->serve("b.yaml", serviceYaml("10.96.0.2:80", "b", {hosts_[1]}));
  mesh_->startControlPlane();
  ASSERT_TRUE(mesh_->controlPlane().awaitLog("listening"));
  mesh_->serve("a.yaml", "");
  EXPECT_TRUE(mesh_->controlPlane().awaitLog(
      R"(W folder: a.yaml holds no resource any more, it had CDS "a", EDS "a", LDS "listener )" +
      std::string(kVip) + "\""))
      << mesh_->controlPlane().log();
  std::filesystem::remove(mesh_->folder() + "/b.yaml");
  EXPECT_TRUE(mesh_->controlPlane().awaitLog("W folder: b.yaml is gone, and with it CDS \"b\""))
      << mesh_->controlPlane().log();
  EXPECT_TRUE(mesh_->controlPlane().awaitLog("W folder: no resource is left"));
}

// A name is foreign text: it must not write lines into the log or rows into tables.
TEST_F(People, ANameCannotForgeLogLinesOrRows) {
  const std::string name = R"(a\nforged 1970 I main: all is well\e[2J)";
  std::string yaml = serviceYaml(kVip, name, {hosts_[0]});
  // An error that quotes the name, and a service whose table shows it.
  mesh_->serve("bad.yaml",
               "resources:\n- \"@type\": "
               "type.googleapis.com/envoy.config.cluster.v3.Cluster\n  name: \"" +
                   name + "2\"\n  outlier_detection: { interval: 0s }\n");
  mesh_->serve("a.yaml", yaml);
  mesh_->startControlPlane();
  mesh_->startAgent();
  ASSERT_TRUE(mesh_->ready()) << mesh_->agent().log();
  ASSERT_TRUE(mesh_->agent().awaitLog("a\\nforged")) << mesh_->agent().log();
  for (const std::string& log : {mesh_->agent().log(), mesh_->controlPlane().log()}) {
    for (const std::string& line : linesOf(log)) {
      EXPECT_TRUE(line.starts_with("20")) << line;
      EXPECT_FALSE(contains(line, "\x1b")) << line;
    }
  }
  for (const std::vector<std::string>& words :
       std::vector<std::vector<std::string>>{{"service", "list"},
                                             {"endpoint", "list"},
                                             {"explain", kVip},
                                             {"map", "dump", "names"},
                                             {"status"}}) {
    std::vector<std::string> command = {binary("sockmeshctl"), "--bpffs-root", sandbox_->bpffs()};
    command.insert(command.end(), words.begin(), words.end());
    const Ran ran = run(command);
    EXPECT_EQ(ran.code, 0) << ran.output;
    EXPECT_FALSE(contains(ran.output, "\x1b")) << ran.output;
    for (const std::string& line : linesOf(ran.output)) {
      EXPECT_FALSE(line.starts_with("forged")) << ran.output;
    }
  }
}

}  // namespace
}  // namespace sockmesh::test
