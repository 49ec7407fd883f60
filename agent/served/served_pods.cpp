// SPDX-License-Identifier: Apache-2.0
#include "served/served_pods.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "served/pod_folders.h"

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

// The field of a rule that an earlier agent made.
constexpr const char* kEarlier = "an earlier agent";

std::string netnsText(std::uint64_t inode) {
  return "network namespace net:[" + std::to_string(inode) + "]";
}

}  // namespace

const ServedPods::Verdict* ServedPods::Verdicts::inForce() const {
  if (byPath && (!byPath->letIn || !byPod)) return &*byPath;
  return byPod ? &*byPod : nullptr;
}

Result<std::unique_ptr<ServedPods>> ServedPods::start(EventLoop& loop, KernelMaps& maps,
                                                      const std::string& cgroupRoot,
                                                      const ServedOptions& options) {
  std::unique_ptr<ServedPods> pods(new ServedPods(loop, maps, options));
  const auto earlier = pods->rules_.known();
  if (!earlier) return earlier.error();
  if (auto ok = pods->watchCgroups(cgroupRoot); !ok) return ok.error().in("served");
  if (auto ok = pods->watchPods(cgroupRoot, *earlier); !ok) return ok.error().in("served");
  if (auto ok = pods->watchNamespaces(); !ok) return ok.error().in("served");
  if (auto ok = pods->replaceEarlier(*earlier); !ok) return ok.error();
  return pods;
}

ServedPods::~ServedPods() {
  loop_.cancel(nextLook_);
}

// What is new is there before the programs ask for it, and what is old goes after that.
Status ServedPods::replaceEarlier(const std::map<ServedId, bool>& earlier) {
  if (auto ok = rules_.setSidecars(options_.sidecars); !ok) return ok;
  rules_.ask({.cgroups = !options_.cgroups.empty() || !options_.pods.empty(),
              .namespaces = !options_.namespaces.empty(),
              .sidecars = !options_.sidecars.empty(),
              .byDefault = options_.byDefault});
  for (const auto& [id, letIn] : earlier) {
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
  if (change.before != nullptr) {
    set({ServedId::Kind::kCgroup, change.before->id}, &Verdicts::byPath, std::nullopt, what);
  }
  if (change.after == nullptr) return;
  const CgroupRule& rule = strongest(options_.cgroups, change.after->patterns);
  set({ServedId::Kind::kCgroup, change.after->id}, &Verdicts::byPath,
      Verdict{rule.letIn, rule.field}, what);
}

// Rules of an earlier agent stay in force for the pods that there are: only a list can say that
// they are wrong.
Status ServedPods::watchPods(const std::string& root, const std::map<ServedId, bool>& earlier) {
  if (options_.pods.empty()) return {};
  auto watch = CgroupWatch::start(
      loop_, root, podFolders(),
      [this](const CgroupWatch::Change& change) { takePodFolder(change); },
      [this] { rules_.changed(); });
  if (!watch) return watch.error();
  podFolders_ = std::move(watch).value();
  for (const auto& [uid, folders] : folders_) {
    for (const auto& [cgroup, path] : folders) {
      const ServedId id{ServedId::Kind::kCgroup, cgroup};
      const auto rule = earlier.find(id);
      if (rule == earlier.end()) continue;
      fromEarlier_.insert(id);
      set(id, &Verdicts::byPod, Verdict{rule->second, kEarlier}, "cgroup " + path);
    }
  }
  return {};
}

void ServedPods::takePodFolder(const CgroupWatch::Change& change) {
  const auto uid = podUidOf(change.path);
  if (!uid) return;
  const std::string what = "cgroup " + change.path;
  if (change.before != nullptr) {
    const ServedId id{ServedId::Kind::kCgroup, change.before->id};
    fromEarlier_.erase(id);
    set(id, &Verdicts::byPod, std::nullopt, what);
    auto& folders = folders_[*uid];
    folders.erase(change.before->id);
    if (folders.empty()) folders_.erase(*uid);
  }
  if (change.after == nullptr) return;
  folders_[*uid][change.after->id] = change.path;
  const auto pod = pods_.find(*uid);
  if (pod == pods_.end()) return;
  set({ServedId::Kind::kCgroup, change.after->id}, &Verdicts::byPod, pod->second, what);
}

void ServedPods::takePods(const PodNews& news) {
  for (const PodChange& change : news.changes) takePod(change);
  if (news.stats.listedAt) forgetEarlier();
  rules_.changed();
}

void ServedPods::takePod(const PodChange& change) {
  std::optional<Verdict> verdict;
  if (change.now) verdict = Verdict{change.now->letIn, change.now->rule};
  if (verdict) pods_[change.uid] = *verdict;
  if (!verdict) pods_.erase(change.uid);
  const auto folders = folders_.find(change.uid);
  if (!change.exists || folders == folders_.end()) return;
  for (const auto& [cgroup, path] : folders->second) {
    const ServedId id{ServedId::Kind::kCgroup, cgroup};
    fromEarlier_.erase(id);
    set(id, &Verdicts::byPod, verdict, "cgroup " + path);
  }
}

// A pod that is not in the list is named by no rule.
void ServedPods::forgetEarlier() {
  for (const ServedId& id : std::exchange(fromEarlier_, {})) {
    set(id, &Verdicts::byPod, std::nullopt, "cgroup id " + std::to_string(id.id));
  }
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
  std::vector<ServedId> gone;
  for (const auto& [id, verdicts] : wanted_) {
    if (id.kind == ServedId::Kind::kNetns && !found.contains(id.id)) gone.push_back(id);
  }
  for (const ServedId& id : gone) {
    set(id, &Verdicts::byPath, std::nullopt, netnsText(id.id));
  }
  for (const auto& [inode, matching] : found) {
    const NetnsRule& rule = strongest(options_.namespaces, matching);
    set({ServedId::Kind::kNetns, inode}, &Verdicts::byPath, Verdict{rule.letIn, rule.field},
        netnsText(inode));
  }
  rules_.changed();
}

// `by` is which of the verdicts. Nothing: there is none from now on.
void ServedPods::set(const ServedId& id, std::optional<Verdict> Verdicts::*by,
                     std::optional<Verdict> now, const std::string& what) {
  const auto known = wanted_.find(id);
  if (known == wanted_.end() && !now) return;
  Verdicts& verdicts = known == wanted_.end() ? wanted_[id] : known->second;
  const Verdict* before = verdicts.inForce();
  const std::optional<Verdict> earlier = before ? std::optional(*before) : std::nullopt;
  verdicts.*by = std::move(now);
  const Verdict* after = verdicts.inForce();
  if (after == nullptr) {
    wanted_.erase(id);
    if (earlier) erase(id, what);
    return;
  }
  const bool same = earlier == *after;
  if (same && id.kind == ServedId::Kind::kCgroup) return;
  put(id, *after, what, !same);
}

void ServedPods::put(const ServedId& id, const Verdict& verdict, const std::string& what,
                     bool isNew) {
  if (auto ok = rules_.put(id, verdict.letIn); !ok) {
    logger("served")->error("{} of {}: {}", what, verdict.field, ok.error().message());
    return;
  }
  if (!isNew) return;
  logger("served")->info("{} is {}, by {}", what, verdict.letIn ? "let in" : "left out",
                         verdict.field);
}

void ServedPods::erase(const ServedId& id, const std::string& what) {
  if (auto ok = rules_.erase(id); !ok)
    logger("served")->error("{}: {}", what, ok.error().message());
  logger("served")->debug("{} has no rule any more", what);
}

}  // namespace sockmesh
