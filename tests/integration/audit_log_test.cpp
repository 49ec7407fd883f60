// SPDX-License-Identifier: Apache-2.0
// The audit log of a real agent, as sockmeshctl shows it.
#include <gmock/gmock.h>

#include <filesystem>

#include "integration/mesh_test.h"

namespace sockmesh::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class AuditLogOfAgent : public MeshTest {
 protected:
  std::string file() const { return sandbox_->folder() + "/audit/log"; }
  Ran ctl(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), binary("sockmeshctl"));
    return run(arguments);
  }
  // "r4"
  std::string lastId() const {
    const std::string lines = ctl({"history", "--no-headers"}).output;
    const std::string last = lines.substr(lines.rfind('\n', lines.size() - 2) + 1);
    return last.substr(0, last.find(' '));
  }
  // Waits until a command prints all of these.
  bool prints(const std::vector<std::string>& arguments, const std::vector<std::string>& texts) {
    return eventually(
        [&] {
          const Ran ran = ctl(arguments);
          return ran.code == 0 && std::all_of(texts.begin(), texts.end(), [&](const auto& text) {
                   return ran.output.find(text) != std::string::npos;
                 });
        },
        std::chrono::seconds(20));
  }
};

TEST_F(AuditLogOfAgent, ShowsWhatChangedAlsoOverARestart) {
  const auto config = mesh_->agentConfig("audit_log: {path: " + file() +
                                         "}\nads: {cache_path: " + sandbox_->folder() + "/cache}");
  mesh_->serve("a.yaml", serviceYaml(kVip, "a", {hosts_[0]}));
  mesh_->startControlPlane();
  mesh_->startAgent(config);
  ASSERT_TRUE(mesh_->ready()) << mesh_->agent().log();
  EXPECT_TRUE(prints({"history"}, {"started", "a added", "CDS", "EDS", "LDS", "accepted"}));
  EXPECT_TRUE(prints({"history", "-o", "json"}, {"127.0.0.1:18000"}));
  const std::string before = lastId();

  mesh_->serve("a.yaml", serviceYaml(kVip, "a", {hosts_[1]}));
  EXPECT_TRUE(prints({"history", "a"}, {"lb_endpoints[" + hosts_[1] + "]"}))
      << ctl({"history", "a"}).output;
  mesh_->serve("a.yaml", serviceYaml(kVip, "a", {hosts_[1]},
                                     "  outlier_detection: "
                                     "{max_ejection_percent: 101}\n"));
  EXPECT_TRUE(prints({"history"}, {"rejected", "max_ejection_percent"}));
  EXPECT_THAT(ctl({"diff", before}).output, HasSubstr("lb_endpoints[" + hosts_[1] + "]"));

  mesh_->agent().signal(SIGTERM);
  ASSERT_EQ(mesh_->agent().wait(), 0);
  const Ran away = ctl({"history"});
  EXPECT_EQ(away.code, 69) << away.output;
  EXPECT_THAT(ctl({"history", "--file", file()}).output, HasSubstr("max_ejection_percent"));
  mesh_->startAgent(config);
  ASSERT_TRUE(mesh_->ready()) << mesh_->agent().log();
  EXPECT_TRUE(prints({"history"}, {"started", "restored"}));
}

TEST_F(AuditLogOfAgent, AFileThatCannotBeWrittenIsReportedAndStopsNothing) {
  mesh_->serve("a.yaml", serviceYaml(kVip, "a", {hosts_[0]}));
  mesh_->startControlPlane();
  mesh_->startAgent(mesh_->agentConfig("audit_log: {path: /proc/no/log}"));
  ASSERT_TRUE(mesh_->ready()) << mesh_->agent().log();
  EXPECT_TRUE(mesh_->agent().awaitLog("audit log: /proc/no/log"));
  EXPECT_TRUE(eventually([&] {
    return ctl({"status", "--bpffs-root", sandbox_->bpffs()}).output.find("Audit log: /proc") !=
           std::string::npos;
  }));
  EXPECT_TRUE(connectTo(at(kVip)));
}

}  // namespace
}  // namespace sockmesh::test
