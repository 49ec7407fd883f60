// SPDX-License-Identifier: Apache-2.0
#include "config/node_identity.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "protojson/yaml_json.h"

namespace sockmesh {
namespace {

using envoy::config::core::v3::Node;

Node configured(const std::string& yaml) {
  Node node;
  const auto parsed = parseYamlOrJson(yaml, node);
  EXPECT_TRUE(parsed) << parsed.error().message();
  return node;
}

NodeFacts pod() {
  return {.podName = "agent-x7k2",
          .podNamespace = "mesh",
          .ips = {"10.0.0.5", "fd00::5"},
          .nodeName = "node-1",
          .serviceAccount = "sockmesh",
          .region = "r1",
          .zone = "z1",
          .subZone = "",
          .clusterId = "Kubernetes",
          .hostName = "host"};
}

std::string error(const std::string& yaml, const NodeFacts& facts = pod()) {
  FieldErrors errors;
  makeNode(configured(yaml), "", facts, errors);
  return errors.empty() ? "" : errors.error().message();
}

Node made(const std::string& yaml, const NodeFacts& facts = pod(), const std::string& domain = "") {
  FieldErrors errors;
  Node node = makeNode(configured(yaml), domain, facts, errors);
  EXPECT_TRUE(errors.empty());
  return node;
}

// Of a value that is not a string: "?".
std::string metadata(const Node& node, const std::string& key) {
  const auto found = node.metadata().fields().find(key);
  if (found == node.metadata().fields().end()) return "";
  return found->second.has_string_value() ? found->second.string_value() : "?";
}

TEST(NodeIdentity, APodNeedsNoIdTypedByHand) {
  const Node node = made("{}");
  EXPECT_EQ(node.id(), "sidecar~10.0.0.5~agent-x7k2.mesh~mesh.svc.cluster.local");
  EXPECT_EQ(metadata(node, "NAMESPACE"), "mesh");
  EXPECT_EQ(metadata(node, "NODE_NAME"), "node-1");
  EXPECT_EQ(metadata(node, "SERVICE_ACCOUNT"), "sockmesh");
  EXPECT_EQ(metadata(node, "CLUSTER_ID"), "Kubernetes");
  EXPECT_EQ(metadata(node, "INSTANCE_IPS"), "10.0.0.5,fd00::5");
  EXPECT_EQ(metadata(node, "DISABLE_HBONE_SEND"), "true");
  EXPECT_EQ(namespaceOf(node), "mesh");
}

TEST(NodeIdentity, TheNodesLocalityIsHandedOn) {
  EXPECT_EQ(made("{}").locality().region(), "r1");
  EXPECT_EQ(made("{}").locality().zone(), "z1");
  EXPECT_EQ(made("id: other").locality().zone(), "z1");
  const Node typed = made("locality: {region: mine}");
  EXPECT_EQ(typed.locality().region(), "mine");
  EXPECT_EQ(typed.locality().zone(), "");
  NodeFacts nowhere = pod();
  nowhere.region = nowhere.zone = "";
  EXPECT_FALSE(made("{}", nowhere).has_locality());
}

TEST(NodeIdentity, WhatIsConfiguredWins) {
  const Node node = made(
      "{metadata: {NAMESPACE: shop, DISABLE_HBONE_SEND: false, NODE_NAME: other, X: true}, "
      "locality: {region: r}}",
      pod(), "mesh.example");
  EXPECT_EQ(node.id(), "sidecar~10.0.0.5~agent-x7k2.shop~shop.svc.mesh.example");
  EXPECT_EQ(metadata(node, "NODE_NAME"), "other");
  EXPECT_EQ(metadata(node, "DISABLE_HBONE_SEND"), "false") << "istiod wants strings";
  EXPECT_EQ(metadata(node, "X"), "true");
  EXPECT_EQ(node.locality().region(), "r");
  EXPECT_EQ(namespaceOf(node), "shop");
}

TEST(NodeIdentity, AnIdTypedByHandKeepsItsAddress) {
  const Node node = made("{id: sidecar~10.9.9.9~a.b~b.svc.cluster.local}");
  EXPECT_EQ(node.id(), "sidecar~10.9.9.9~a.b~b.svc.cluster.local");
  EXPECT_EQ(metadata(node, "NAMESPACE"), "b");
  EXPECT_EQ(metadata(node, "INSTANCE_IPS"), "");
  EXPECT_EQ(metadata(node, "DISABLE_HBONE_SEND"), "true");
}

TEST(NodeIdentity, OutsideAPodItIsTheHostsName) {
  NodeFacts facts = pod();
  facts.podNamespace = "";
  EXPECT_EQ(made("{}", facts).id(), "host");
  EXPECT_EQ(made("{}", facts).metadata().fields_size(), 0);
  EXPECT_EQ(made("{id: mine}").id(), "mine");
  EXPECT_EQ(made("{id: mine, metadata: {A: true}}").metadata().fields().at("A").bool_value(), true)
      << "another control plane may want a boolean";
  EXPECT_EQ(namespaceOf(made("{id: mine}")), "");
}

TEST(NodeIdentity, WithoutAPodNameTheHostIsNamed) {
  NodeFacts facts = pod();
  facts.podName = "";
  EXPECT_EQ(made("{}", facts).id(), "sidecar~10.0.0.5~host.mesh~mesh.svc.cluster.local");
}

TEST(NodeIdentity, WhatIstiodWouldRefuseIsNamed) {
  const std::string form = " is not sidecar~IP~POD.NAMESPACE~NAMESPACE.svc.cluster.local";
  EXPECT_EQ(error("{id: sidecar~10.0.0.1~a.b}"), "node.id: \"sidecar~10.0.0.1~a.b\"" + form);
  EXPECT_EQ(error("{id: sidecar~here~a.b~c}"), "node.id: \"sidecar~here~a.b~c\"" + form);
  EXPECT_EQ(error("{id: sidecar~here~a.b~c, metadata: {INSTANCE_IPS: '10.0.0.1,::1'}}"), "");
  EXPECT_EQ(error("{metadata: {INSTANCE_IPS: '10.0.0.1;::1'}}"),
            "node.metadata.INSTANCE_IPS: \"10.0.0.1;::1\" is not a list of IP addresses");
  EXPECT_EQ(error("{metadata: {INTERCEPTION_MODE: NONE}}"),
            "node.metadata.INTERCEPTION_MODE: with NONE istiod replaces every VIP by 127.0.0.1: "
            "leave it out");
}

// Each test of a binary may run alone, so that the environment is this test's.
TEST(NodeIdentity, TheDownwardApiIsRead) {
  const std::pair<const char*, const char*> variables[] = {
      {"POD_NAME", "p"},    {"POD_NAMESPACE", "n"},     {"POD_IPS", "10.0.0.1,fd00::1"},
      {"NODE_NAME", "w"},   {"SERVICE_ACCOUNT", "acc"}, {"CLUSTER_ID", "c"},
      {"NODE_REGION", "r"}, {"NODE_ZONE", "z"}};
  for (const auto& [name, value] : variables) setenv(name, value, 1);
  const NodeFacts facts = readNodeFacts();
  setenv("POD_IP", "10.0.0.2", 1);
  unsetenv("POD_IPS");
  const NodeFacts one = readNodeFacts();
  for (const auto& [name, value] : variables) unsetenv(name);
  unsetenv("POD_IP");
  EXPECT_EQ(facts.podName, "p");
  EXPECT_EQ(facts.podNamespace, "n");
  EXPECT_EQ(facts.ips, (std::vector<std::string>{"10.0.0.1", "fd00::1"}));
  EXPECT_EQ(facts.nodeName, "w");
  EXPECT_EQ(facts.serviceAccount, "acc");
  EXPECT_EQ(facts.clusterId, "c");
  EXPECT_EQ(facts.region, "r");
  EXPECT_EQ(facts.zone, "z");
  EXPECT_EQ(one.ips, (std::vector<std::string>{"10.0.0.2"}));
  EXPECT_FALSE(readNodeFacts().hostName.empty());
}

}  // namespace
}  // namespace sockmesh
