// SPDX-License-Identifier: Apache-2.0
#include "ads/not_honoured_log.h"

#include <algorithm>
#include <set>
#include <type_traits>
#include <utility>

namespace sockmesh {
namespace {

using Said = std::map<std::string, std::string>;

std::string joined(const std::vector<std::string>& fields) {
  std::string text;
  for (const std::string& field : fields) text += (text.empty() ? "" : "; ") + field;
  return text;
}

// What there is to say of a resource in force; "": nothing.
template <typename T>
std::string sayOf(const T& resource) {
  if (resource.notHonoured.empty()) return "";
  return "without effect at connect(): " + joined(resource.notHonoured);
}

std::string sayLeftAlone(const Snapshot& snapshot, const std::string& listener) {
  const auto found = snapshot.leftAlone.find(listener);
  return found == snapshot.leftAlone.end() ? "" : "makes no VIP: " + found->second->reason;
}

// `now` is what there is to say; `inForce`: the resource is there and makes a VIP, so that "nothing
// more to say" is worth a line.
void note(const std::string& resource, const std::string& name, const std::string& now,
          bool inForce, Said& said, std::vector<std::string>& lines) {
  const auto before = said.find(name);
  if (now.empty()) {
    if (before == said.end()) return;
    said.erase(before);
    if (inForce) lines.push_back(resource + ": everything in it has its effect now");
    return;
  }
  if (before != said.end() && before->second == now) return;
  said[name] = now;
  lines.push_back(resource + ": " + now);
}

void noteCluster(const Snapshot& snapshot, const std::string& name, Said& said,
                 std::vector<std::string>& lines) {
  const auto found = snapshot.clusters.find(name);
  const bool inForce = found != snapshot.clusters.end();
  note("cluster " + name, name, inForce ? sayOf(*found->second) : "", inForce, said, lines);
}

void noteListener(const Snapshot& snapshot, const std::string& name, Said& said,
                  std::vector<std::string>& lines) {
  const auto found = snapshot.listeners.find(name);
  const bool inForce = found != snapshot.listeners.end();
  note("listener " + name, name, inForce ? sayOf(*found->second) : sayLeftAlone(snapshot, name),
       inForce, said, lines);
}

// Endpoints that no connection reaches; null: none are known. When they are gone, no line says so.
void noteEndpoints(const LoadAssignment* assignment, const std::string& name, Said& said,
                   std::vector<std::string>& lines) {
  const bool any = assignment != nullptr && !assignment->unreachable.empty();
  const std::string now =
      any ? "cannot be reached, and are used all the same: " + joined(assignment->unreachable) : "";
  note("endpoints of " + name, name, now, false, said, lines);
}

template <typename Resources>
auto find(const Resources& resources, const std::string& name) {
  const auto found = resources.find(name);
  using Pointer = std::remove_cvref_t<decltype(found->second)>;
  return found == resources.end() ? Pointer() : found->second;
}

// All names that there are, or of which anything was said.
template <typename Resources>
std::set<std::string> namesOf(const Resources& resources, const Said& said) {
  std::set<std::string> names;
  for (const auto& [name, resource] : resources) names.insert(name);
  for (const auto& [name, what] : said) names.insert(name);
  return names;
}

}  // namespace

std::vector<std::string> NotHonouredLog::update(const Snapshot& snapshot) {
  Changes changed = snapshot.changed;
  if (changed.all) {
    changed.clusters = namesOf(snapshot.clusters, clusters_);
    changed.clusters.merge(namesOf(snapshot.clusters, inlineEndpoints_));
    changed.assignments = namesOf(snapshot.assignments, endpoints_);
    changed.listeners = namesOf(snapshot.listeners, listeners_);
    for (const auto& [name, reason] : snapshot.leftAlone) changed.listeners.insert(name);
  }
  std::vector<std::string> lines;
  for (const std::string& name : changed.clusters) {
    noteCluster(snapshot, name, clusters_, lines);
    const auto cluster = find(snapshot.clusters, name);
    noteEndpoints(cluster ? cluster->inlineAssignment.get() : nullptr, name, inlineEndpoints_,
                  lines);
  }
  for (const std::string& name : changed.assignments) {
    noteEndpoints(find(snapshot.assignments, name).get(), name, endpoints_, lines);
  }
  for (const std::string& name : changed.listeners) {
    noteListener(snapshot, name, listeners_, lines);
  }
  return lines;
}

}  // namespace sockmesh
