// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "node_fixture.h"

namespace sockmesh::ctl::test {
namespace {

constexpr const char* kInStep = R"({"services": 3, "clusters": 2, "endpoints": 5,
  "differences": []})";
constexpr const char* kDrift = R"({"services": 3, "clusters": 2, "endpoints": 5, "differences": [
  {"between": "ControlPlaneAndTables", "kind": "Service", "name": "10.96.0.7:80/TCP", "field": "",
   "wanted": "there", "found": "not there"},
  {"between": "TablesAndKernel", "kind": "Service", "name": "10.96.0.1:80/TCP",
   "field": "groups[0].hosts", "wanted": "10.1.0.1:80", "found": "10.1.0.9:80"}]})";

AgentAnswer answered(int status, const std::string& text) {
  return {"127.0.0.1:15077", status, text};
}

TEST(Verify, InStepIsOneLine) {
  const Verification all{answered(200, kInStep), std::nullopt, std::nullopt};
  EXPECT_FALSE(hasDifferences(all.first));
  EXPECT_EQ(shown(verification(all), Format::kTable),
            "In step: control plane, tables and kernel agree (compared: 3 services, 2 clusters, "
            "5 endpoints)\n");
  EXPECT_EQ(std::get<Document>(verification(all)).exitCode, kExitOk);
}

constexpr const char* kDriftText =
    R"(Drift: 2 differences (compared: 3 services, 2 clusters, 5 endpoints)
BETWEEN                 KIND      NAME               FIELD             WANTED        FOUND
control plane, tables   Service   10.96.0.7:80/TCP   -                 there         not there
tables, kernel          Service   10.96.0.1:80/TCP   groups[0].hosts   10.1.0.1:80   10.1.0.9:80
)";

TEST(Verify, ADifferenceIsNamedAndEndsWith79) {
  const Verification all{answered(200, kDrift), std::nullopt, std::nullopt};
  EXPECT_TRUE(hasDifferences(all.first));
  EXPECT_EQ(shown(verification(all), Format::kTable), kDriftText);
  EXPECT_EQ(std::get<Document>(verification(all)).exitCode, 79);
}

TEST(Verify, ARepairShowsWhatWasWrongAndWhatIsLeft) {
  const Verification all{answered(200, kDrift), answered(200, "{}"), answered(200, kInStep)};
  const Outcome outcome = verification(all);
  EXPECT_EQ(std::get<Document>(outcome).exitCode, kExitOk);
  const std::string text = shown(outcome, Format::kTable);
  EXPECT_TRUE(
      text.starts_with("Repair: the agent wrote its tables again, because of 2 differences\n"))
      << text;
  EXPECT_NE(text.find("\nIn step: "), std::string::npos) << text;
  const Json data = std::get<Document>(outcome).data;
  EXPECT_EQ(data["inStep"], true);
  EXPECT_EQ(data["repaired"].size(), 2u);
  EXPECT_EQ(data["differences"].size(), 0u);

  const Verification inVain{answered(200, kDrift), answered(200, "{}"), answered(200, kDrift)};
  EXPECT_EQ(std::get<Document>(verification(inVain)).exitCode, 79);
}

TEST(Verify, SaysWhyItIsNotKnown) {
  const auto failed = [](const AgentAnswer& answer) {
    return shown(verification({answer, std::nullopt, std::nullopt}), Format::kTable);
  };
  EXPECT_EQ(failed(answered(0, "Connection refused")),
            "exit 69: agent: not reachable at 127.0.0.1:15077 (Connection refused); only the agent "
            "knows what the kernel should hold, `status` says what it holds");
  EXPECT_EQ(failed(answered(503, "the agent has no tables yet\n")),
            "exit 1: the agent cannot tell: the agent has no tables yet");
  EXPECT_EQ(failed(answered(404, "")), "exit 69: the agent is older and cannot verify");
  const Verification refused{answered(200, kDrift),
                             AgentAnswer{"/run/admin.sock", 0, "No such file or directory"},
                             std::nullopt};
  EXPECT_EQ(shown(verification(refused), Format::kTable),
            "exit 69: the agent did not repair 2 differences: /run/admin.sock: No such file or "
            "directory");
}

}  // namespace
}  // namespace sockmesh::ctl::test
