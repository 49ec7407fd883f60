// SPDX-License-Identifier: Apache-2.0
#include "status_left_alone.h"

#include <set>

#include "lb/abi_names.h"
#include "named_pods.h"
#include "text.h"

namespace sockmesh::ctl {
namespace {

std::size_t podsLeftAlone(const NodeView& view) {
  std::set<std::uint64_t> namespaces;
  for (const Unserved& one : view.live.unserved) {
    if (isRecent(one, view.live.nowNs)) namespaces.insert(one.netnsCookie);
  }
  return namespaces.size();
}

constexpr std::size_t kShownRules = 3;

std::string ruleText(const NamedPodRule& pod) {
  return pod.pod + " by " + pod.rule;
}

std::string countText(std::size_t pods) {
  return pods == 1 ? "1 pod" : std::to_string(pods) + " pods";
}

std::string cgroupText(const NodeView& view, std::uint64_t id) {
  const auto path = view.cgroupPaths.find(id);
  const bool known = path != view.cgroupPaths.end() && !path->second.empty();
  return known ? path->second : "id " + std::to_string(id);
}

}  // namespace

void addLeftAlone(const NodeView& view, const AgentReport& agent, Document& out) {
  const auto named = namedPodsOf(agent);
  Table table;
  table.columns = {{"  CGROUP"}, {"NETNS"}, {"REASON"}, {"MEANING"}};
  Json pods = Json::array();
  for (const Unserved& one : view.live.unserved) {
    if (!isRecent(one, view.live.nowNs)) continue;
    const std::string netns = "net:[" + std::to_string(one.netnsInode) + "]";
    const Word word = unservedWord(one.reason);
    const std::string cgroup = cgroupText(view, one.cgroupId);
    const NamedPodRule* pod = podOfCgroup(named, cgroup);
    table.rows.push_back({"  " + cgroup, netns, std::string(word.name),
                          std::string(word.meaning) + (pod ? ": " + ruleText(*pod) : "")});
    pods.push_back({{"cgroupId", one.cgroupId},
                    {"cgroup", cgroup},
                    {"netns", netns},
                    {"pod", pod ? Json(pod->pod) : Json(nullptr)},
                    {"rule", pod ? Json(pod->rule) : Json(nullptr)},
                    {"reason", word.name},
                    {"meaning", word.meaning}});
  }
  out.data["podsLeftAlone"] = pods;
  if (pods.empty()) return;
  out.sections.push_back({"Pods left alone: " + std::to_string(podsLeftAlone(view)) +
                              " that connected to a VIP within the last 10 minutes",
                          table});
}

std::string leftAloneText(const NodeView& view, const AgentReport& agent) {
  const std::size_t pods = podsLeftAlone(view);
  if (pods == 0) return "";
  const auto named = namedPodsOf(agent);
  std::set<std::string> rules;
  for (const Unserved& one : view.live.unserved) {
    if (!isRecent(one, view.live.nowNs)) continue;
    const NamedPodRule* pod = podOfCgroup(named, cgroupText(view, one.cgroupId));
    if (pod != nullptr && rules.size() < kShownRules) rules.insert(ruleText(*pod));
  }
  return countText(pods) + " of this node " + (pods == 1 ? "is" : "are") + " left alone" +
         (rules.empty() ? "" : ", among them " + join({rules.begin(), rules.end()}, ", ")) +
         " (sockmeshctl status)";
}

}  // namespace sockmesh::ctl
