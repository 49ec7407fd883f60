// SPDX-License-Identifier: Apache-2.0
#include "kube/pod_json.h"

#include <nlohmann/json.hpp>

namespace sockmesh {
namespace {

using Json = nlohmann::json;

// The kubelet names the cgroup of a static pod by this, and not by the uid of the object that
// stands for the pod in the API.
constexpr const char* kMirrorAnnotation = "kubernetes.io/config.mirror";

const Json& child(const Json& object, const char* key) {
  static const Json kNothing;
  if (!object.is_object()) return kNothing;
  const auto found = object.find(key);
  return found == object.end() ? kNothing : *found;
}

std::string text(const Json& object, const char* key) {
  const Json& value = child(object, key);
  return value.is_string() ? value.get<std::string>() : "";
}

Labels labelsOf(const Json& object) {
  Labels labels;
  if (!object.is_object()) return labels;
  for (const auto& [key, value] : object.items()) {
    if (value.is_string()) labels.emplace(key, value.get<std::string>());
  }
  return labels;
}

Result<PodFacts> podOf(const Json& object) {
  const Json& metadata = child(object, "metadata");
  PodFacts pod{.uid = text(metadata, "uid"),
               .space = text(metadata, "namespace"),
               .name = text(metadata, "name"),
               .labels = labelsOf(child(metadata, "labels")),
               .annotations = labelsOf(child(metadata, "annotations"))};
  if (pod.uid.empty()) return Error("pod \"" + pod.space + "/" + pod.name + "\" has no uid");
  const auto mirror = pod.annotations.find(kMirrorAnnotation);
  if (mirror != pod.annotations.end() && !mirror->second.empty()) pod.uid = mirror->second;
  return pod;
}

Json parse(std::string_view json) {
  return Json::parse(json, nullptr, false);
}

PodEvent errorEvent(const Json& status) {
  const Json& code = child(status, "code");
  return {.kind = PodEvent::Kind::kError,
          .pod = {},
          .resourceVersion = {},
          .code = code.is_number_integer() ? code.get<int>() : 0,
          .message = text(status, "message")};
}

}  // namespace

Result<PodPage> parsePodPage(std::string_view json) {
  const Json list = parse(json);
  const Json& items = child(list, "items");
  const Json& metadata = child(list, "metadata");
  if (!metadata.is_object() || !(items.is_array() || items.is_null())) {
    return Error("the answer is not a list of pods");
  }
  PodPage page{.resourceVersion = text(metadata, "resourceVersion"),
               .next = text(metadata, "continue"),
               .pods = {}};
  if (page.resourceVersion.empty()) return Error("the list of pods has no resourceVersion");
  page.pods.reserve(items.size());
  for (const Json& item : items) {
    auto pod = podOf(item);
    if (!pod) return pod.error();
    page.pods.push_back(std::move(pod).value());
  }
  return page;
}

Result<PodEvent> parsePodEvent(std::string_view json) {
  const Json event = parse(json);
  const std::string type = text(event, "type");
  const Json& object = child(event, "object");
  if (type == "ERROR") return errorEvent(object);
  PodEvent out;
  out.resourceVersion = text(child(object, "metadata"), "resourceVersion");
  if (out.resourceVersion.empty()) return Error("an event has no resourceVersion");
  if (type == "BOOKMARK") return out;
  if (type != "ADDED" && type != "MODIFIED" && type != "DELETED") {
    return Error("an event has the unknown type \"" + type + "\"");
  }
  out.kind = type == "DELETED" ? PodEvent::Kind::kDeleted : PodEvent::Kind::kChanged;
  auto pod = podOf(object);
  if (!pod) return pod.error();
  out.pod = std::move(pod).value();
  return out;
}

std::string statusMessage(std::string_view json) {
  return text(parse(json), "message");
}

}  // namespace sockmesh
