// SPDX-License-Identifier: Apache-2.0
// Rules by pods, and where the API server is.
#include "config/kubernetes_config.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "config/served_config.h"
#include "protojson/yaml_json.h"

namespace sockmesh {
namespace {

struct Decoded {
  ServedOptions served;
  std::optional<PodWatchOptions> watch;
  std::string error;
};

Decoded decode(const std::string& yaml, const std::string& nodeName = "node-1") {
  sockmesh::config::v1::AgentConfig proto;
  if (auto parsed = parseYamlOrJson(yaml, proto); !parsed)
    return {{}, {}, parsed.error().message()};
  FieldErrors errors;
  Decoded out;
  out.served = decodeServed(proto, errors);
  out.watch = decodeKubernetes(proto, out.served.pods, nodeName, errors);
  if (!errors.empty()) out.error = errors.error().message();
  return out;
}

std::string withPods(const std::string& pods) {
  return "{served: {let_in: [{pods: {" + pods + "}}]}, kubernetes: {address: 'api:6443'}}";
}

class Environment : public ::testing::Test {
 protected:
  void TearDown() override {
    unsetenv("KUBERNETES_SERVICE_HOST");
    unsetenv("KUBERNETES_SERVICE_PORT");
  }
};

TEST(PodRulesConfig, HaveKubernetesWords) {
  const Decoded all = decode(
      withPods("namespaces: [shop], matchLabels: {app: web}, matchExpressions: [{key: tier, "
               "operator: NotIn, values: [a, b]}, {key: old, operator: DoesNotExist}], "
               "matchAnnotations: {example.com/a: 'free text'}, matchAnnotationExpressions: [{key: "
               "b, operator: Exists}]"));
  ASSERT_EQ(all.error, "");
  ASSERT_EQ(all.served.pods.size(), 1U);
  const PodRule& rule = all.served.pods[0];
  using Operator = LabelRequirement::Operator;
  EXPECT_EQ(rule.field, "served.let_in[0]");
  EXPECT_TRUE(rule.letIn);
  EXPECT_EQ(rule.namespaces, std::set<std::string>{"shop"});
  const LabelSelector labels{
      {{"app", "web"}},
      {{"tier", Operator::kNotIn, {"a", "b"}}, {"old", Operator::kDoesNotExist, {}}}};
  const LabelSelector annotations{{{"example.com/a", "free text"}}, {{"b", Operator::kExists, {}}}};
  EXPECT_EQ(rule.labels, labels);
  EXPECT_EQ(rule.annotations, annotations);
  ASSERT_TRUE(all.watch);
  EXPECT_EQ(all.watch->rules.size(), 1U);
}

TEST(PodRulesConfig, WhatIsWrongIsNamed) {
  const auto wrong = [](const std::string& pods, const std::string& says) {
    const std::string error = decode(withPods(pods)).error;
    EXPECT_NE(error.find("served.let_in[0].pods" + says), std::string::npos) << error;
  };
  wrong("", ": namespaces, labels or annotations are needed");
  wrong("namespaces: ['']", ".namespaces: the name of a namespace is empty");
  wrong("matchLabels: {'a b': c}", ".match_labels: \"a b\" is no key of Kubernetes");
  wrong("matchLabels: {a: 'b c'}", ".match_labels.a: \"b c\" can be no label's value");
  wrong("matchExpressions: [{key: a, operator: in}]",
        ".match_expressions[0].operator: \"in\" is not In, NotIn, Exists or DoesNotExist, did you "
        "mean In?");
  wrong("matchExpressions: [{key: a, operator: In}]", ".match_expressions[0].values: In needs");
  wrong("matchExpressions: [{key: a, operator: Exists, values: [b]}]",
        ".match_expressions[0].values: Exists has no values");
  wrong("matchAnnotationExpressions: [{operator: Exists}]",
        ".match_annotation_expressions[0].key: \"\" is no key");
}

TEST_F(Environment, ThereIsAWatchOnlyForRulesByPods) {
  setenv("KUBERNETES_SERVICE_HOST", "fd00::1", 1);
  setenv("KUBERNETES_SERVICE_PORT", "443", 1);
  EXPECT_FALSE(decode("{served: {leave_out: [{cgroup: /a}]}}").watch);
  const Decoded asked = decode("{served: {leave_out: [{pods: {namespaces: [a]}}]}}");
  ASSERT_TRUE(asked.watch) << asked.error;
  EXPECT_EQ(asked.watch->server.address, "[fd00::1]:443");
  EXPECT_EQ(asked.watch->server.tokenPath, "/var/run/secrets/kubernetes.io/serviceaccount/token");
  EXPECT_EQ(asked.watch->server.rootPath, "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt");
  EXPECT_EQ(asked.watch->node, "node-1");
}

TEST_F(Environment, OutsideOfAPodTheSettingsAreNeeded) {
  const std::string rules = "served: {leave_out: [{pods: {namespaces: [a]}}]}";
  const std::string error = decode("{" + rules + "}", "").error;
  EXPECT_NE(error.find("kubernetes.address: the API server's HOST:PORT is needed"),
            std::string::npos)
      << error;
  EXPECT_NE(error.find("kubernetes.node_name: is needed"), std::string::npos) << error;
  const Decoded given = decode("{" + rules +
                                   ", kubernetes: {address: 'a:1', token_path: /t, "
                                   "root_path: /r, node_name: n}}",
                               "");
  ASSERT_EQ(given.error, "");
  EXPECT_EQ(given.watch->server.tokenPath + given.watch->server.rootPath + given.watch->node,
            "/t/rn");
  EXPECT_NE(decode("{kubernetes: {address: 'https://a:1'}}").error.find("kubernetes.address: "),
            std::string::npos);
}

}  // namespace
}  // namespace sockmesh
