// SPDX-License-Identifier: Apache-2.0
#include "status_left_alone.h"

#include <set>

#include "lb/abi_names.h"
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

std::string countText(std::size_t pods) {
  return pods == 1 ? "1 pod" : std::to_string(pods) + " pods";
}

std::string cgroupText(const NodeView& view, std::uint64_t id) {
  const auto path = view.cgroupPaths.find(id);
  const bool known = path != view.cgroupPaths.end() && !path->second.empty();
  return known ? path->second : "id " + std::to_string(id);
}

}  // namespace

void addLeftAlone(const NodeView& view, Document& out) {
  Table table;
  table.columns = {{"  CGROUP"}, {"NETNS"}, {"REASON"}, {"MEANING"}};
  Json pods = Json::array();
  for (const Unserved& one : view.live.unserved) {
    if (!isRecent(one, view.live.nowNs)) continue;
    const std::string netns = "net:[" + std::to_string(one.netnsInode) + "]";
    const Word word = unservedWord(one.reason);
    const std::string cgroup = cgroupText(view, one.cgroupId);
    table.rows.push_back({"  " + cgroup, netns, std::string(word.name), std::string(word.meaning)});
    pods.push_back({{"cgroupId", one.cgroupId},
                    {"cgroup", cgroup},
                    {"netns", netns},
                    {"reason", word.name},
                    {"meaning", word.meaning}});
  }
  out.data["podsLeftAlone"] = pods;
  if (pods.empty()) return;
  out.sections.push_back({"Pods left alone: " + std::to_string(podsLeftAlone(view)) +
                              " that connected to a VIP within the last 10 minutes",
                          table});
}

std::string leftAloneText(const NodeView& view) {
  const std::size_t pods = podsLeftAlone(view);
  if (pods == 0) return "";
  return countText(pods) + " of this node " + (pods == 1 ? "is" : "are") +
         " left alone (sockmeshctl status)";
}

}  // namespace sockmesh::ctl
