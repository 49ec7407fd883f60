// SPDX-License-Identifier: Apache-2.0
#include "printing.h"

#include <gtest/gtest.h>

#include <sstream>

namespace sockmesh::ctl::test {
namespace {

// A command that prints its number, and fails at `failsAt`.
std::function<Outcome()> counting(int failsAt = 0) {
  return [n = 0, failsAt]() mutable -> Outcome {
    if (++n == failsAt) return Failure{kExitUnavailable, "the agent is gone"};
    Table table;
    table.columns = {{"N"}};
    table.rows = {{std::to_string(n)}};
    return Document{"Number", {{"n", n}}, {{"", table}}};
  };
}

struct Ran {
  int code = 0;
  std::string out;
  std::string err;
};

Ran ran(const std::function<Outcome()>& command, Repetition repetition,
        Format format = Format::kTable) {
  repetition.seconds = 0.001;
  std::ostringstream out;
  std::ostringstream err;
  const int code = runAndPrint(command, repetition, {format, true}, out, err);
  return {code, out.str(), err.str()};
}

TEST(Printing, ACommandRunsOnce) {
  EXPECT_EQ(ran(counting(), {}).out, "N\n1\n");
}

TEST(Printing, AWatchedCommandRunsAgainAndAgain) {
  EXPECT_EQ(ran(counting(), {.on = true, .times = 3}).out, "N\n1\n\nN\n2\n\nN\n3\n");
}

TEST(Printing, RowsThatAreAppendedHaveTheirTitlesOnce) {
  EXPECT_EQ(ran(counting(), {.on = true, .times = 3, .appends = true}).out, "N\n1\n2\n3\n");
}

TEST(Printing, MachinesGetOneObjectAfterTheOther) {
  const std::string out = ran(counting(), {.on = true, .times = 2}, Format::kJson).out;
  EXPECT_EQ(out,
            "{\n  \"schemaVersion\": 1,\n  \"kind\": \"Number\",\n  \"n\": 1\n}\n"
            "{\n  \"schemaVersion\": 1,\n  \"kind\": \"Number\",\n  \"n\": 2\n}\n");
}

TEST(Printing, AFailureEndsIt) {
  const Ran failed = ran(counting(3), {.on = true});
  EXPECT_EQ(failed.code, 69);
  EXPECT_EQ(failed.out, "N\n1\n\nN\n2\n\n");
  EXPECT_EQ(failed.err, "sockmeshctl: the agent is gone\n");
}

TEST(Printing, AnOutputThatNobodyReadsEndsIt) {
  std::ostringstream out;
  std::ostringstream err;
  int runs = 0;
  const auto command = [&]() -> Outcome {
    if (++runs == 3) out.setstate(std::ios::badbit);
    return PlainText{"x"};
  };
  EXPECT_EQ(runAndPrint(command, {.on = true, .seconds = 0.001}, {}, out, err), 1);
  EXPECT_EQ(runs, 3);
}

}  // namespace
}  // namespace sockmesh::ctl::test
