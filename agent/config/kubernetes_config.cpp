// SPDX-License-Identifier: Apache-2.0
#include "config/kubernetes_config.h"

#include <array>
#include <cstdlib>
#include <string_view>
#include <utility>

#include "base/host_port.h"
#include "base/suggestion.h"

namespace sockmesh {
namespace {

using Requirement = sockmesh::config::v1::LabelRequirement;
using Requirements = google::protobuf::RepeatedPtrField<Requirement>;
using ProtoLabels = google::protobuf::Map<std::string, std::string>;

constexpr const char* kAccount = "/var/run/secrets/kubernetes.io/serviceaccount/";

enum class Values { kOfLabels, kFree };

void checkKey(const std::string& key, FieldErrors& errors) {
  if (auto ok = checkLabelKey(key); !ok) errors.add("key", ok.error().message());
}

void checkValue(const std::string& value, Values kind, FieldErrors& errors) {
  if (kind == Values::kFree) return;
  if (auto ok = checkLabelValue(value); !ok) errors.add("values", ok.error().message());
}

// Sorted, because protobuf's map has no order and errors are read by people.
Labels takeLabels(const ProtoLabels& proto, const char* field, Values kind, FieldErrors& errors) {
  Labels labels(proto.begin(), proto.end());
  const FieldErrors::Scope scope(errors, field);
  for (const auto& [key, value] : labels) {
    if (auto ok = checkLabelKey(key); !ok) errors.add(ok.error().message());
    if (kind == Values::kFree) continue;
    if (auto ok = checkLabelValue(value); !ok) errors.add(key, ok.error().message());
  }
  return labels;
}

LabelRequirement takeRequirement(const Requirement& proto, Values kind, FieldErrors& errors) {
  using Operator = LabelRequirement::Operator;
  static const std::vector<std::string> kOperators = {"In", "NotIn", "Exists", "DoesNotExist"};
  LabelRequirement out{.key = proto.key(), .op = Operator::kIn, .values = {}};
  checkKey(out.key, errors);
  std::size_t op = 0;
  while (op < kOperators.size() && kOperators[op] != proto.operator_()) ++op;
  if (op == kOperators.size()) {
    errors.add("operator", "\"" + proto.operator_() +
                               "\" is not In, NotIn, Exists or DoesNotExist" +
                               didYouMean(proto.operator_(), kOperators));
    return out;
  }
  out.op = static_cast<Operator>(op);
  out.values.assign(proto.values().begin(), proto.values().end());
  const bool wantsValues = out.op == Operator::kIn || out.op == Operator::kNotIn;
  if (wantsValues && out.values.empty()) errors.add("values", proto.operator_() + " needs values");
  if (!wantsValues && !out.values.empty()) {
    errors.add("values", proto.operator_() + " has no values");
  }
  for (const std::string& value : out.values) checkValue(value, kind, errors);
  return out;
}

std::vector<LabelRequirement> takeRequirements(const Requirements& proto, const char* field,
                                               Values kind, FieldErrors& errors) {
  std::vector<LabelRequirement> out;
  for (int i = 0; i < proto.size(); ++i) {
    const FieldErrors::Scope item(errors, field, static_cast<std::size_t>(i));
    out.push_back(takeRequirement(proto[i], kind, errors));
  }
  return out;
}

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// The address that Kubernetes gives to every pod; "" elsewhere.
std::string environmentAddress() {
  const std::string host = environment("KUBERNETES_SERVICE_HOST");
  const std::string port = environment("KUBERNETES_SERVICE_PORT");
  if (host.empty() || port.empty()) return "";
  return (host.find(':') == std::string::npos ? host : "[" + host + "]") + ":" + port;
}

std::string orElse(const std::string& given, const std::string& other) {
  return given.empty() ? other : given;
}

}  // namespace

PodRule decodePods(const sockmesh::config::v1::Pods& proto, const std::string& field, bool letIn,
                   FieldErrors& errors) {
  const FieldErrors::Scope scope(errors, "pods");
  PodRule rule{.field = field, .letIn = letIn, .namespaces = {}, .labels = {}, .annotations = {}};
  for (const std::string& name : proto.namespaces()) {
    if (name.empty()) errors.add("namespaces", "the name of a namespace is empty");
    rule.namespaces.insert(name);
  }
  rule.labels = {
      takeLabels(proto.match_labels(), "match_labels", Values::kOfLabels, errors),
      takeRequirements(proto.match_expressions(), "match_expressions", Values::kOfLabels, errors)};
  rule.annotations = {
      takeLabels(proto.match_annotations(), "match_annotations", Values::kFree, errors),
      takeRequirements(proto.match_annotation_expressions(), "match_annotation_expressions",
                       Values::kFree, errors)};
  if (rule.namespaces.empty() && rule.labels.empty() && rule.annotations.empty()) {
    errors.add("namespaces, labels or annotations are needed");
  }
  return rule;
}

std::optional<PodWatchOptions> decodeKubernetes(const sockmesh::config::v1::AgentConfig& proto,
                                                const std::vector<PodRule>& rules,
                                                const std::string& nodeName, FieldErrors& errors) {
  const auto& kubernetes = proto.kubernetes();
  const FieldErrors::Scope scope(errors, "kubernetes");
  PodWatchOptions options;
  options.rules = rules;
  options.server = {.address = orElse(kubernetes.address(), environmentAddress()),
                    .tokenPath = orElse(kubernetes.token_path(), std::string(kAccount) + "token"),
                    .rootPath = orElse(kubernetes.root_path(), std::string(kAccount) + "ca.crt")};
  options.node = orElse(kubernetes.node_name(), nodeName);
  if (!kubernetes.address().empty() || (!rules.empty() && !options.server.address.empty())) {
    const auto parsed = parseHostPort(options.server.address);
    if (!parsed) errors.add("address", parsed.error().message());
  }
  if (rules.empty()) return std::nullopt;
  if (options.server.address.empty()) {
    errors.add("address",
               "the API server's HOST:PORT is needed for rules with pods: there is no "
               "KUBERNETES_SERVICE_HOST in the environment");
  }
  if (options.node.empty()) {
    errors.add("node_name",
               "is needed for rules with pods: there is no NODE_NAME in the environment");
  }
  return options;
}

}  // namespace sockmesh
