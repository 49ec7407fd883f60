// SPDX-License-Identifier: Apache-2.0
// Each kind of document has a schema in docs/schemas, and a schema is checked for what it says.
// Every test of a command checks its documents, too: node_fixture.h.
#include "support/schema.h"

#include <gmock/gmock.h>

#include <sstream>

#include "agent_fixture.h"
#include "cli.h"
#include "node_fixture.h"
#include "schema_check.h"

namespace sockmesh::ctl::test {
namespace {

using sockmesh::test::documentedKinds;
using sockmesh::test::violations;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

Json parsed(const char* text) {
  return Json::parse(text);
}

TEST(Schema, EachKindOfDocumentHasOne) {
  EXPECT_THAT(documentedKinds(),
              ElementsAre("AgentStatus", "ConnectReport", "EjectionList", "EndpointList", "Events",
                          "Explanation", "Failure", "History", "HistoryDiff", "LogLevels",
                          "MapDump", "MapList", "NodeStatus", "RouteList", "Service", "ServiceList",
                          "Top", "Verification", "Version"));
  EXPECT_THAT(violations(parsed(R"({"kind": "Other"})")),
              ElementsAre("no schema docs/schemas/Other.json"));
}

TEST(Schema, OfWhatNoOtherTestShows) {
  const auto vip = SocketAddress::parse("10.96.0.10:80").value();
  expectSchema(std::get<Document>(serviceGet(makeNode(), vip)));
  expectSchema(std::get<Document>(versionOf(deadAgent())));
  expectSchema(std::get<Document>(versionOf(liveAgent())));
  const AgentAnswer levels{"127.0.0.1:15077", 200, R"({"scopes": {"xds": "info"}})"};
  expectSchema(std::get<Document>(logLevelsOf(levels)));
}

TEST(Schema, AFailureHasOne) {
  std::ostringstream out;
  std::ostringstream err;
  EXPECT_NE(runCli({"service", "list", "--bpffs-root", "/nonexistent", "-o", "json"}, out, err), 0);
  EXPECT_THAT(violations(Json::parse(out.str())), IsEmpty());
}

constexpr const char* kSchema = R"({
  "type": "object", "required": ["a"], "properties": {
    "a": {"type": "integer", "description": "a number"},
    "b": {"type": ["string", "null"], "enum": ["x", null]},
    "items": {"type": "array", "items": {"$ref": "#/$defs/item"}},
    "counts": {"type": "object", "additionalProperties": {"type": "integer"}}},
  "allOf": [{"if": {"properties": {"b": {"const": "x"}}},
             "then": {"properties": {"a": {"const": 1}}}}],
  "$defs": {"item": {"type": "object", "required": ["n"], "properties": {"n": {"type": "number"}}}}
})";

std::vector<std::string> wrongIn(const char* document) {
  return violations(parsed(kSchema), parsed(document));
}

TEST(Schema, WhatIsRightPasses) {
  EXPECT_THAT(wrongIn(R"({"a": 1, "b": "x", "items": [{"n": 1.5}], "counts": {"any": 7}})"),
              IsEmpty());
  EXPECT_THAT(wrongIn(R"({"a": 2, "b": null})"), IsEmpty());
}

TEST(Schema, WhatIsWrongIsNamedWithItsPath) {
  EXPECT_THAT(wrongIn(R"({})"), ElementsAre(R"(the document: lacks "a")"));
  EXPECT_THAT(wrongIn(R"({"a": "1", "b": null})"), ElementsAre(R"(a: is not "integer": "1")"));
  EXPECT_THAT(wrongIn(R"({"a": 1, "c": 1})"), ElementsAre("c: is not in the schema"));
  EXPECT_THAT(wrongIn(R"({"a": 1, "b": "y"})"), ElementsAre(R"(b: "y" is none of ["x",null])"));
  EXPECT_THAT(wrongIn(R"({"a": 2, "b": "x"})"), ElementsAre("a: 2 is not 1"));
  EXPECT_THAT(wrongIn(R"({"a": 1, "items": [{"n": 1}, {"m": 1}]})"),
              ElementsAre("items[1].m: is not in the schema", R"(items[1]: lacks "n")"));
  EXPECT_THAT(wrongIn(R"({"a": 1, "counts": {"any": "7"}})"),
              ElementsAre(R"(counts.any: is not "integer": "7")"));
}

TEST(Schema, AWordThatNobodyLooksAtIsWrong) {
  EXPECT_THAT(violations(parsed(R"({"minimum": 1})"), parsed("0")),
              ElementsAre("the document: the schema has the unknown word minimum"));
}

}  // namespace
}  // namespace sockmesh::ctl::test
