// SPDX-License-Identifier: Apache-2.0
// Kubernetes' selectors, which rule decides, and what is read of the API server's JSON.
#include "kube/pod_rules.h"

#include <gtest/gtest.h>

#include "kube/pod_json.h"

namespace sockmesh {
namespace {

using Operator = LabelRequirement::Operator;

bool matches(const LabelRequirement& one, const Labels& labels) {
  return LabelSelector{.matchLabels = {}, .matchExpressions = {one}}.matches(labels);
}

TEST(LabelSelector, OperatorsMeanWhatKubernetesSays) {
  const Labels web = {{"app", "web"}, {"empty", ""}};
  EXPECT_TRUE(matches({"app", Operator::kIn, {"db", "web"}}, web));
  EXPECT_FALSE(matches({"app", Operator::kIn, {"db"}}, web));
  EXPECT_FALSE(matches({"tier", Operator::kIn, {"web"}}, web));
  EXPECT_TRUE(matches({"app", Operator::kNotIn, {"db"}}, web));
  EXPECT_FALSE(matches({"app", Operator::kNotIn, {"web"}}, web));
  EXPECT_TRUE(matches({"tier", Operator::kNotIn, {"web"}}, web)) << "also without the label";
  EXPECT_TRUE(matches({"empty", Operator::kExists, {}}, web));
  EXPECT_FALSE(matches({"tier", Operator::kExists, {}}, web));
  EXPECT_TRUE(matches({"tier", Operator::kDoesNotExist, {}}, web));
  EXPECT_FALSE(matches({"app", Operator::kDoesNotExist, {}}, web));
}

TEST(LabelSelector, AllOfItMustBeTrue) {
  const LabelSelector selector{.matchLabels = {{"app", "web"}, {"mesh", "on"}},
                               .matchExpressions = {{"old", Operator::kDoesNotExist, {}}}};
  EXPECT_TRUE(selector.matches({{"app", "web"}, {"mesh", "on"}, {"x", "y"}}));
  EXPECT_FALSE(selector.matches({{"app", "web"}}));
  EXPECT_FALSE(selector.matches({{"app", "web"}, {"mesh", "off"}}));
  EXPECT_FALSE(selector.matches({{"app", "web"}, {"mesh", "on"}, {"old", ""}}));
  EXPECT_TRUE(LabelSelector{}.matches({}));
}

TEST(LabelSelector, KeysAndValuesAreThoseOfKubernetes) {
  for (const char* key : {"app", "a.b_c-D", "sockmesh.io/serve", "x.example.com/a"}) {
    EXPECT_TRUE(checkLabelKey(key)) << key;
  }
  for (const char* key : {"", "-a", "a-", "a b", "/a", "a/", "A.b/c", "a..b/c", "a/b/c"}) {
    EXPECT_FALSE(checkLabelKey(key)) << key;
  }
  EXPECT_FALSE(checkLabelKey(std::string(64, 'a')));
  EXPECT_TRUE(checkLabelValue(""));
  EXPECT_TRUE(checkLabelValue("v1.2_x"));
  EXPECT_FALSE(checkLabelValue("a b"));
  EXPECT_FALSE(checkLabelValue(std::string(64, 'a')));
}

PodRule rule(const std::string& field, bool letIn, const Labels& labels) {
  return {
      .field = field, .letIn = letIn, .namespaces = {}, .labels = {labels, {}}, .annotations = {}};
}

TEST(PodRules, WhatLeavesOutWinsThenTheFirst) {
  const std::vector<PodRule> rules = {
      rule("in[0]", true, {{"a", "1"}}), rule("in[1]", true, {{"b", "1"}}),
      rule("out[0]", false, {{"c", "1"}}), rule("out[1]", false, {{"d", "1"}})};
  const auto by = [&](const Labels& labels) {
    const auto found = decide(rules, {"u", "shop", "web", labels, {}});
    return found ? found->rule : "";
  };
  EXPECT_EQ(by({{"b", "1"}, {"a", "1"}}), "in[0]");
  EXPECT_EQ(by({{"a", "1"}, {"d", "1"}, {"c", "1"}}), "out[0]");
  EXPECT_EQ(by({{"a", "2"}}), "");
}

TEST(PodRules, NamespaceLabelsAndAnnotationsMustAllMatch) {
  const PodRule one{.field = "f",
                    .letIn = true,
                    .namespaces = {"shop", "bank"},
                    .labels = {{{"app", "web"}}, {}},
                    .annotations = {{{"note", "any text: at all"}}, {}}};
  EXPECT_TRUE(one.matches({"u", "bank", "n", {{"app", "web"}}, {{"note", "any text: at all"}}}));
  EXPECT_FALSE(one.matches({"u", "else", "n", {{"app", "web"}}, {{"note", "any text: at all"}}}));
  EXPECT_FALSE(one.matches({"u", "shop", "n", {}, {{"note", "any text: at all"}}}));
  EXPECT_FALSE(one.matches({"u", "shop", "n", {{"app", "web"}}, {}}));
}

TEST(PodJson, APageHasPodsAndWhereTheNextOneBegins) {
  const auto page = parsePodPage(R"({"kind":"PartialObjectMetadataList","metadata":
      {"resourceVersion":"7","continue":"abc"},"items":[{"metadata":{"namespace":"shop","name":"web",
      "uid":"u-1","labels":{"app":"web"},"annotations":{"a":"b"}}},{"metadata":{"uid":"u-2"}}]})");
  ASSERT_TRUE(page) << page.error().message();
  EXPECT_EQ(page->resourceVersion, "7");
  EXPECT_EQ(page->next, "abc");
  ASSERT_EQ(page->pods.size(), 2U);
  EXPECT_EQ(page->pods[0].space + "/" + page->pods[0].name + " " + page->pods[0].uid,
            "shop/web u-1");
  EXPECT_EQ(page->pods[0].labels, (Labels{{"app", "web"}}));
  EXPECT_EQ(page->pods[0].annotations, (Labels{{"a", "b"}}));
  EXPECT_TRUE(parsePodPage(R"({"metadata":{"resourceVersion":"7"},"items":null})")) << "none";
}

TEST(PodJson, AStaticPodsCgroupIsNamedByItsConfiguration) {
  const auto event = parsePodEvent(R"({"type":"ADDED","object":{"metadata":{"uid":"api",
      "resourceVersion":"1","annotations":{"kubernetes.io/config.mirror":"0123456789abcdef"}}}})");
  ASSERT_TRUE(event);
  EXPECT_EQ(event->pod.uid, "0123456789abcdef");
}

TEST(PodJson, EventsAreToldApart) {
  const auto kindOf = [](const std::string& type) {
    const auto event = parsePodEvent(
        R"({"type":")" + type + R"(","object":{"metadata":{"uid":"u","resourceVersion":"3"}}})");
    return event ? std::optional(event->kind) : std::nullopt;
  };
  EXPECT_EQ(kindOf("ADDED"), PodEvent::Kind::kChanged);
  EXPECT_EQ(kindOf("MODIFIED"), PodEvent::Kind::kChanged);
  EXPECT_EQ(kindOf("DELETED"), PodEvent::Kind::kDeleted);
  EXPECT_EQ(kindOf("BOOKMARK"), PodEvent::Kind::kBookmark);
  EXPECT_EQ(kindOf("OTHER"), std::nullopt);
  const auto error = parsePodEvent(R"({"type":"ERROR","object":{"code":410,"message":"too old"}})");
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code, 410);
  EXPECT_EQ(error->message, "too old");
}

TEST(PodJson, RubbishIsAnError) {
  const std::string deep(100'000, '[');
  for (const std::string& text :
       {std::string("<html>"), std::string("[]"), std::string("{}"), deep,
        std::string(R"({"metadata":{"resourceVersion":7}})"),
        std::string(R"({"metadata":{"resourceVersion":"7"},"items":[{}]})"),
        std::string(R"({"metadata":{"resourceVersion":"7"},"items":7})")}) {
    EXPECT_FALSE(parsePodPage(text)) << text.substr(0, 60);
    EXPECT_FALSE(parsePodEvent(text)) << text.substr(0, 60);
  }
  EXPECT_EQ(statusMessage("no JSON"), "");
}

}  // namespace
}  // namespace sockmesh
