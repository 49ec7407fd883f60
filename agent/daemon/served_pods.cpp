// SPDX-License-Identifier: Apache-2.0
#include "daemon/served_pods.h"

#include <algorithm>
#include <utility>

#include "base/log.h"

namespace sockmesh {
namespace {

// A mount table that changes all the time is looked at no more often than this.
constexpr Nanos kBetweenLooks = std::chrono::milliseconds(20);

// Of the rules that match, the one that is in force: a rule that leaves out wins.
template <typename Rule>
const Rule& strongest(const std::vector<Rule>& rules, const std::vector<std::size_t>& matching) {
  const auto out = std::ranges::find_if(matching, [&](std::size_t i) { return !rules[i].letIn; });
  return rules[out == matching.end() ? matching.front() : *out];
}

std::string netnsText(std::uint64_t inode) {
  return "network namespace net:[" + std::to_string(inode) + "]";
}

}  // namespace

Result<std::unique_ptr<ServedPods>> ServedPods::start(EventLoop& loop, KernelMaps& maps,
                                                      const std::string& cgroupRoot,
                                                      const ServedOptions& options) {
  std::unique_ptr<ServedPods> pods(new ServedPods(loop, maps, options));
  const auto earlier = pods->rules_.known();
  if (!earlier) return earlier.error();
  if (auto ok = pods->watchCgroups(cgroupRoot); !ok) return ok.error().in("served");
  if (auto ok = pods->watchNamespaces(); !ok) return ok.error().in("served");
  if (auto ok = pods->replaceEarlier(*earlier); !ok) return ok.error();
  return pods;
}

ServedPods::~ServedPods() {
  loop_.cancel(nextLook_);
}

// What is new is there before the programs ask for it, and what is old goes after that.
Status ServedPods::replaceEarlier(const std::set<ServedId>& earlier) {
  if (auto ok = rules_.setSidecars(options_.sidecars); !ok) return ok;
  rules_.ask({.cgroups = !options_.cgroups.empty(),
              .namespaces = !options_.namespaces.empty(),
              .sidecars = !options_.sidecars.empty(),
              .byDefault = options_.byDefault});
  for (const ServedId& id : earlier) {
    if (wanted_.contains(id)) continue;
    if (auto ok = rules_.erase(id); !ok) return ok;
  }
  rules_.changed();
  return {};
}

Status ServedPods::watchCgroups(const std::string& root) {
  if (options_.cgroups.empty()) return {};
  std::vector<PathGlob> globs;
  for (const CgroupRule& rule : options_.cgroups) globs.push_back(rule.glob);
  auto watch = CgroupWatch::start(
      loop_, root, std::move(globs),
      [this](const CgroupWatch::Change& change) { takeCgroup(change); },
      [this] { rules_.changed(); });
  if (!watch) return watch.error();
  cgroups_ = std::move(watch).value();
  return {};
}

void ServedPods::takeCgroup(const CgroupWatch::Change& change) {
  const std::string what = "cgroup " + change.path;
  if (change.before != nullptr) erase({ServedId::Kind::kCgroup, change.before->id}, what);
  if (change.after == nullptr) return;
  const CgroupRule& rule = strongest(options_.cgroups, change.after->patterns);
  put({ServedId::Kind::kCgroup, change.after->id}, rule.letIn, what, rule.field);
}

Status ServedPods::watchNamespaces() {
  if (options_.namespaces.empty()) return {};
  for (const NetnsRule& rule : options_.namespaces) patterns_.push_back(rule.pattern);
  auto watch = NetnsWatch::start(loop_, [this] {
    if (nextLook_ != 0) return;
    nextLook_ = loop_.after(kBetweenLooks, [this] { lookAtNamespaces(); });
  });
  if (!watch) return watch.error();
  namespaces_ = std::move(watch).value();
  lookAtNamespaces();
  return {};
}

// Also those that are known are put again: another namespace may have the inode by now.
void ServedPods::lookAtNamespaces() {
  nextLook_ = 0;
  const auto found = findNetns(patterns_);
  const std::set<ServedId> before = wanted_;
  for (const ServedId& id : before) {
    if (id.kind == ServedId::Kind::kNetns && !found.contains(id.id)) erase(id, netnsText(id.id));
  }
  for (const auto& [inode, matching] : found) {
    const NetnsRule& rule = strongest(options_.namespaces, matching);
    put({ServedId::Kind::kNetns, inode}, rule.letIn, netnsText(inode), rule.field);
  }
  rules_.changed();
}

void ServedPods::put(const ServedId& id, bool letIn, const std::string& what,
                     const std::string& field) {
  if (auto ok = rules_.put(id, letIn); !ok) {
    logger("served")->error("{} of {}: {}", what, field, ok.error().message());
    return;
  }
  if (!wanted_.insert(id).second) return;
  logger("served")->info("{} is {}, by {}", what, letIn ? "let in" : "left out", field);
}

void ServedPods::erase(const ServedId& id, const std::string& what) {
  if (wanted_.erase(id) == 0) return;
  if (auto ok = rules_.erase(id); !ok)
    logger("served")->error("{}: {}", what, ok.error().message());
  logger("served")->debug("{} is gone", what);
}

}  // namespace sockmesh
