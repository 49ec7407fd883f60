#include "xds/reservation_log.h"

#include <utility>

#include "model/reservations.h"

namespace sockmesh {
namespace {

std::string joined(const std::vector<std::string>& fields) {
  std::string text;
  for (const std::string& field : fields) text += (text.empty() ? "" : "; ") + field;
  return text;
}

std::string resourceOf(const NotHonoured& one) {
  return (one.kind == NotHonoured::Kind::kCluster ? "cluster " : "listener ") + one.name;
}

// Whether it is there and makes a VIP, so that "nothing more to say" is worth a line.
bool isInForce(const Snapshot& snapshot, const std::string& resource) {
  const auto at = resource.find(' ');
  const std::string name = resource.substr(at + 1);
  return resource.starts_with("cluster ") ? snapshot.clusters.contains(name)
                                          : snapshot.listeners.contains(name);
}

}  // namespace

std::vector<std::string> ReservationLog::update(const Snapshot& snapshot) {
  std::map<std::string, std::string> now;
  for (const NotHonoured& one : notHonoured(snapshot)) {
    now[resourceOf(one)] = "without effect at connect(): " + joined(one.fields);
  }
  const auto addUnreachable = [&now](const std::string& name, const LoadAssignment* assignment) {
    if (assignment == nullptr || assignment->unreachable.empty()) return;
    now["endpoints of " + name] =
        "cannot be reached, and are used all the same: " + joined(assignment->unreachable);
  };
  for (const auto& [name, one] : snapshot.assignments) addUnreachable(name, one.get());
  for (const auto& [name, one] : snapshot.clusters) {
    addUnreachable(name, one->inlineAssignment.get());
  }
  for (const LeftAlone& one : snapshot.leftAlone) {
    now["listener " + one.name] = "makes no VIP: " + one.reason;
  }
  std::vector<std::string> lines;
  for (const auto& [resource, what] : now) {
    const auto before = said_.find(resource);
    if (before == said_.end() || before->second != what) lines.push_back(resource + ": " + what);
  }
  for (const auto& [resource, what] : said_) {
    if (now.contains(resource) || !isInForce(snapshot, resource)) continue;
    lines.push_back(resource + ": everything in it has its effect now");
  }
  said_ = std::move(now);
  return lines;
}

}  // namespace sockmesh
