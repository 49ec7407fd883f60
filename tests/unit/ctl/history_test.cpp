// SPDX-License-Identifier: Apache-2.0
// history and diff, from files that an agent could have written.
#include "history.h"

#include <gmock/gmock.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "cli.h"
#include "output.h"
#include "schema_check.h"

namespace sockmesh::ctl::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

Json field(const std::string& path, const Json& from, const Json& to) {
  return {{"path", path}, {"from", from}, {"to", to}};
}
Json change(const std::string& type, const std::string& name, const std::string& what,
            const std::vector<Json>& fields = {}) {
  Json json = {{"type", type}, {"name", name}, {"change", what}};
  if (!fields.empty()) json["fields"] = fields;
  return json;
}
Json line(int id, const std::string& version, const std::vector<Json>& changes,
          const std::string& result = "accepted") {
  const std::string second = (id < 10 ? "0" : "") + std::to_string(id);
  return {{"id", id},           {"time", "2026-01-02T03:04:" + second + ".000Z"},
          {"server", "s"},      {"type", "CDS"},
          {"version", version}, {"nonce", "n"},
          {"result", result},   {"changes", Json(changes)}};
}

class HistoryTest : public ::testing::Test {
 protected:
  HistoryTest() {
    folder_ = ::testing::TempDir() + "sockmesh-history-XXXXXX";
    EXPECT_NE(mkdtemp(folder_.data()), nullptr);
    path_ = folder_ + "/audit.log";
    // A cluster that comes, changes twice and goes, over three files.
    Json rejected =
        line(3, "v3", {change("CDS", "a", "changed", {field("lb_policy", "X", "Y")})}, "rejected");
    rejected["errors"] = {{{"name", "bad"}, {"reason", "type: 99 is unknown"}}};
    put(".2", {line(1, "v1", {change("CDS", "a", "added"), change("CDS", "b", "added")})});
    put(".1", {line(2, "v2",
                    {change("CDS", "a", "changed",
                            {field("lb_policy", nullptr, "X"), field("ttl", "1s", "2s")})}),
               rejected});
    put("", {line(4, "v4",
                  {change("CDS", "a", "changed", {field("ttl", "2s", "1s")}),
                   change("CDS", "b", "removed"), change("CDS", "c", "added")}),
             line(5, "v5", {})});
  }
  ~HistoryTest() override { std::filesystem::remove_all(folder_); }

  void put(const std::string& suffix, const std::vector<Json>& lines) const {
    std::ofstream file(path_ + suffix);
    for (const Json& one : lines) file << one.dump() << "\n";
  }
  static std::string shown(const Outcome& outcome) {
    if (const auto* failure = std::get_if<Failure>(&outcome)) return failure->message;
    expectSchema(std::get<Document>(outcome));
    return render(std::get<Document>(outcome), Format::kTable, true);
  }
  std::string diff(const std::string& from, const std::string& to) const {
    return shown(historyDiff(path_, from, to));
  }

  std::string folder_;
  std::string path_;
};

TEST_F(HistoryTest, ListsAllFilesFromTheOldest) {
  const std::string all = shown(history(path_, {}));
  EXPECT_LT(all.find("r1 "), all.find("r2 "));
  EXPECT_LT(all.find("r4 "), all.find("r5 "));
  EXPECT_THAT(all, AllOf(HasSubstr("a added; b added"), HasSubstr("a changed (lb_policy, ttl)"),
                         HasSubstr("bad rejected: type: 99 is unknown")));
}

TEST_F(HistoryTest, OfAResourceItShowsTheFields) {
  const std::string all = shown(history(path_, {"", "a"}));
  EXPECT_THAT(all, HasSubstr("a changed (lb_policy: - -> X, ttl: 1s -> 2s)"));
  EXPECT_THAT(all, AllOf(Not(HasSubstr("b removed")), Not(HasSubstr("r5 "))));
  EXPECT_THAT(shown(history(path_, {"", "bad"})), AllOf(HasSubstr("r3 "), Not(HasSubstr("r2 "))));
}

TEST_F(HistoryTest, SinceLeavesOutWhatIsOlder) {
  EXPECT_THAT(shown(history(path_, {"2026-01-02T03:04:04", ""})),
              AllOf(HasSubstr("r4 "), HasSubstr("r5 "), Not(HasSubstr("r3 "))));
  EXPECT_EQ(sinceOf("90s", 1767323100).value(), "2026-01-02T03:03:30");
  EXPECT_EQ(sinceOf("1d", 1767323100).value(), "2026-01-01T03:05:00");
  EXPECT_EQ(sinceOf("2026-01-02T03:04:05Z", 0).value(), "2026-01-02T03:04:05");
  EXPECT_EQ(sinceOf("2026-01-02", 0).value(), "2026-01-02");
  for (const char* wrong : {"", "yesterday", "5", "5w", "-5m", "2026-1-2", "2026-01-02 03:04"}) {
    EXPECT_FALSE(sinceOf(wrong, 0)) << wrong;
  }
}

TEST_F(HistoryTest, DiffAddsUpWhatLiesBetween) {
  const std::string all = diff("v1", "v5");
  EXPECT_THAT(all, HasSubstr("From r1 (CDS v1, 2026-01-02T03:04:01.000Z) to r5 (CDS v5"));
  EXPECT_THAT(all, AllOf(HasSubstr("lb_policy"), HasSubstr("Y"), HasSubstr("removed"),
                         HasSubstr("added"), Not(HasSubstr("ttl"))));
  EXPECT_THAT(diff("r2", "r3"), AllOf(HasSubstr("lb_policy"), Not(HasSubstr("removed"))));
  EXPECT_EQ(diff("v1", ""), all) << "the last line";
}

TEST_F(HistoryTest, DiffBackwardsIsTheOpposite) {
  const auto outcome = historyDiff(path_, "v5", "v1");
  const Json resources = std::get<Document>(outcome).data["resources"];
  EXPECT_EQ(resources,
            Json::array({change("CDS", "a", "changed", {field("lb_policy", "Y", nullptr)}),
                         change("CDS", "b", "added"), change("CDS", "c", "removed")}));
}

TEST_F(HistoryTest, WhatCameBackIsSaidSo) {
  put("",
      {line(4, "v4", {change("CDS", "a", "removed")}), line(5, "v5", {change("CDS", "a", "added")}),
       line(6, "v6", {change("CDS", "d", "added")}),
       line(7, "v7", {change("CDS", "d", "removed")})});
  const auto outcome = historyDiff(path_, "v3", "v7");
  EXPECT_EQ(std::get<Document>(outcome).data["resources"],
            Json::array({change("CDS", "a", "removed and added again")}));
}

TEST_F(HistoryTest, SaysWhatTheLogDoesNotHave) {
  Json full = line(6, "v6", {change("CDS", "z", "added")});
  full["moreChanges"] = 7;
  put("", {line(5, "", {}, "started"), full});
  EXPECT_THAT(shown(history(path_, {})), HasSubstr("and 7 more"));
  EXPECT_THAT(diff("v3", "v6"), AllOf(HasSubstr("7 changes between them: too many"),
                                      HasSubstr("an agent without a cache was started")));
}

TEST_F(HistoryTest, AVersionThatIsNotThereIsAFailureThatNamesIt) {
  EXPECT_THAT(diff("v9", "v1"), HasSubstr("has the version \"v9\""));
  EXPECT_THAT(diff("v1", "r99"), HasSubstr("\"r99\""));
  EXPECT_THAT(shown(history(folder_ + "/none", {})),
              AllOf(HasSubstr("/none"), HasSubstr("No such file")));
}

TEST_F(HistoryTest, DamagedLinesAreSkipped) {
  std::ofstream(path_, std::ios::app) << "{\"id\": 6, \"ti\n[1]\n{}\n{\"id\": \"x\"}\n";
  EXPECT_THAT(shown(history(path_, {})), HasSubstr("r5 "));
  std::ofstream(path_) << R"({"id": 7, "changes": [1, {"name": 5}], "errors": "x", "version": []})"
                       << "\n";
  const Outcome outcome = history(path_, {});  // not what the schema says
  EXPECT_THAT(render(std::get<Document>(outcome), Format::kTable, true), HasSubstr("r7 "));
  EXPECT_THAT(diff("r1", "r7"), HasSubstr("r7"));
}

TEST(HistoryCommand, WithoutAnAgentTheFileIsToBeNamed) {
  std::ostringstream out, err;
  EXPECT_EQ(runCli({"history", "--admin-address", "127.0.0.1:1"}, out, err), 69);
  EXPECT_THAT(err.str(), HasSubstr("--file"));
  EXPECT_EQ(runCli({"diff", "--file", "/none"}, out, err), 64) << "A is missing";
  EXPECT_EQ(runCli({"history", "--file", "/none", "--since", "soon"}, out, err), 64);
}

TEST(HistoryCommand, AnAgentWithoutALogSaysSo) {
  const AgentReport agent{"a", Json{{"xds", {{"auditLog", ""}}}}, ""};
  EXPECT_THAT(auditLogOf(agent).error().message(), HasSubstr("audit_log.path"));
  EXPECT_EQ(auditLogOf({"a", Json{{"xds", {{"auditLog", "/l"}}}}, ""}).value(), "/l");
}

}  // namespace
}  // namespace sockmesh::ctl::test
