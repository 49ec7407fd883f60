// SPDX-License-Identifier: Apache-2.0
#include "named_pods.h"

#include <algorithm>

#include "agent_json.h"

namespace sockmesh::ctl {
namespace {

Json watchOf(const AgentReport& agent) {
  if (!agent.status) return Json::object();
  return child(*agent.status, "podWatch", Json::value_t::object);
}

// A folder's name ends with the uid, or goes on with ".slice".
bool isFolderOf(const std::string& path, const std::string& uid) {
  const std::string name = "pod" + uid;
  const std::size_t at = path.find(name);
  if (uid.empty() || at == std::string::npos || at == 0) return false;
  const std::size_t end = at + name.size();
  const bool begins = path[at - 1] == '/' || path[at - 1] == '-';
  return begins && (end == path.size() || path[end] == '/' || path[end] == '.');
}

}  // namespace

std::vector<NamedPodRule> namedPodsOf(const AgentReport& agent) {
  std::vector<NamedPodRule> pods;
  for (const Json& one : child(watchOf(agent), "named", Json::value_t::array)) {
    pods.push_back({text(one, "namespace") + "/" + text(one, "name"), text(one, "uid"),
                    text(one, "decision"), text(one, "rule")});
  }
  return pods;
}

const NamedPodRule* podOfCgroup(const std::vector<NamedPodRule>& pods, const std::string& path) {
  const auto found = std::ranges::find_if(pods, [&](const NamedPodRule& one) {
    std::string inSlice = one.uid;
    std::ranges::replace(inSlice, '-', '_');
    return isFolderOf(path, one.uid) || isFolderOf(path, inSlice);
  });
  return found == pods.end() ? nullptr : &*found;
}

void addPodWatch(const AgentReport& agent, Document& out) {
  const Json watch = watchOf(agent);
  if (watch.empty()) return;
  const bool up = text(watch, "watching") == "true";
  std::string line = "Pods: API server " + text(watch, "address");
  line += up ? ", watched" : ", not watched";
  const std::string since = text(watch, up ? "watchingSince" : "lostAt");
  if (!since.empty()) line += " since " + since;
  const std::string problem = text(watch, "lastError");
  if (!up && !problem.empty()) line += " (" + problem + ")";
  line += "; of " + text(watch, "pods") + " pods, " + text(watch, "leftOut") + " left out and " +
          text(watch, "letIn") + " let in by rules";
  out.sections.push_back({line, {}});
}

}  // namespace sockmesh::ctl
