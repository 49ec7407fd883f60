// SPDX-License-Identifier: Apache-2.0
// Documents as text: a table stays a table, whatever the names of resources are.
#include "output.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

#include "base/printable.h"

namespace sockmesh::ctl::test {
namespace {

Document listOf(const std::vector<std::string>& names) {
  Table table;
  table.columns = {{"NAME"}, {"PORT", false, true}, {"STATE"}};
  Json items = Json::array();
  for (const std::string& name : names) {
    table.rows.push_back({name, "80", "Balanced"});
    items.push_back({{"name", name}});
  }
  return {"ServiceList", {{"items", items}}, {{"", table}}};
}

std::vector<std::string> linesOf(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

std::string tableOf(const std::vector<std::string>& names) {
  return render(listOf(names), Format::kTable, true);
}

TEST(Output, ANameCannotInventRowsOrCells) {
  EXPECT_EQ(tableOf({"a\nb    81   Balanced", "\x1b[1A\x1b[2K", "a\u202eb", "\xff", "c  d ", " "}),
            R"(NAME                                   PORT   STATE
a\nb \x20\x20\x2081 \x20\x20Balanced     80   Balanced
\x1b[1A\x1b[2K                           80   Balanced
a\u202eb                                 80   Balanced
\xff                                     80   Balanced
c \x20d\x20                              80   Balanced
\x20                                     80   Balanced
)");
}

TEST(Output, FreeTextIsOneLineToo) {
  const Document document{"NodeStatus", Json::object(), {{"Agent: v1\nServices: 0\x1b[m", {}}}};
  EXPECT_EQ(render(document, Format::kTable, true), "Agent: v1\\nServices: 0\\x1b[m\n");
}

TEST(Output, RowsAreAlignedByWhatIsSeen) {
  EXPECT_EQ(tableOf({"サービス", "größe", "cafe\u0301", "plain"}), R"(NAME       PORT   STATE
サービス     80   Balanced
größe        80   Balanced
cafe)"
                                                                   "\u0301"
                                                                   R"(         80   Balanced
plain        80   Balanced
)");
}

TEST(Output, OneLongNameDoesNotWidenTheOthers) {
  const std::string name = "outbound|80||" + std::string(300, 'x') + ".default.svc.cluster.local";
  const auto lines = linesOf(tableOf({"a", name, "b"}));
  ASSERT_EQ(lines.size(), 4U);
  for (const std::string& line : lines) EXPECT_LE(displayWidth(line), 60U) << line;
  EXPECT_TRUE(lines[2].starts_with("outbound|80||")) << lines[2];
  EXPECT_NE(lines[2].find("xx\u2026"), std::string::npos) << lines[2];
  EXPECT_NE(lines[2].find("svc.cluster.local     80"), std::string::npos) << lines[2];
}

TEST(Output, LongNamesOfWideCharactersAreCutBetweenThem) {
  std::string name;
  for (int i = 0; i < 100; ++i) name += "語";
  const auto lines = linesOf(tableOf({"a", name}));
  for (const std::string& line : lines) EXPECT_LE(displayWidth(line), 60U) << line;
  EXPECT_EQ(displayWidth(lines[1]), displayWidth(lines[2])) << lines[2];
  EXPECT_EQ(printable(lines[2]), lines[2]) << "no half characters";
}

TEST(Output, NamesOfUsualLengthAreWhole) {
  const std::string name =
      "outbound|9090||prometheus-stack-prometheus.monitoring.svc.cluster.local";
  EXPECT_NE(tableOf({"a", name}).find(name), std::string::npos);
}

TEST(Output, WideAndScriptsGetNamesWholeAndOtherRowsAreNotWider) {
  const std::string name(300, 'x');
  for (const auto& [format, headers] : {std::pair{Format::kWide, true}, {Format::kTable, false}}) {
    const auto lines = linesOf(render(listOf({"a", name, "b"}), format, headers));
    for (const std::string& line : lines) {
      EXPECT_TRUE(line.starts_with(name) || line.size() < 40) << line;
    }
    EXPECT_EQ(std::ranges::count_if(lines,
                                    [&](const std::string& line) {
                                      return line.starts_with(name + "  ") &&
                                             line.ends_with("80   Balanced");
                                    }),
              1)
        << lines[1];
  }
}

TEST(Output, TheLastColumnIsNeverCut) {
  Document document = listOf({"a", "b"});
  const std::string why(200, 'w');
  document.sections[0].table.rows[0][2] = why;
  const auto lines = linesOf(render(document, Format::kTable, true));
  EXPECT_TRUE(lines[1].ends_with(why));
  EXPECT_EQ(lines[2], "b        80   Balanced");
}

TEST(Output, JsonAndYamlKeepTheNameAndShowNoneOfIt) {
  const std::string name = "a\n\x1b\u009b\u202e\U000e0041 größe";
  const std::string json = render(listOf({name}), Format::kJson, true);
  EXPECT_EQ(Json::parse(json)["items"][0]["name"], name);
  EXPECT_NE(json.find(R"("a\n\u001b\u009b\u202e\udb40\udc41 größe")"), std::string::npos) << json;
  const std::string yaml = render(listOf({name}), Format::kYaml, true);
  EXPECT_NE(yaml.find(R"("a\n\u001b\u009b\u202e\U000e0041 größe")"), std::string::npos) << yaml;
}

}  // namespace
}  // namespace sockmesh::ctl::test
