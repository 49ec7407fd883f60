// SPDX-License-Identifier: Apache-2.0
// Keeps the kernel's rules on who is served equal to what the configuration says of the cgroups,
// network namespaces and pods that there are. For the control thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/event_loop.h"
#include "base/result.h"
#include "kube/pod_watch.h"
#include "maps/served_rules.h"
#include "served/cgroup_watch.h"
#include "served/netns_watch.h"
#include "served/served_options.h"

namespace sockmesh {

class ServedPods {
 public:
  // Brings the rules of an earlier agent to what the options say; who was left out and still is
  // stays left out meanwhile. Pods' cgroups keep the earlier rules until takePods() has a complete
  // list. `loop` and `maps` outlive this. `cgroupRoot` is where the programs are attached.
  static Result<std::unique_ptr<ServedPods>> start(EventLoop& loop, KernelMaps& maps,
                                                   const std::string& cgroupRoot,
                                                   const ServedOptions& options);
  ~ServedPods();
  ServedPods(const ServedPods&) = delete;
  ServedPods& operator=(const ServedPods&) = delete;

  // What the API server says of pods. A pod that is gone keeps its rule as long as its cgroup is
  // there, because processes may be, too.
  void takePods(const PodNews& news);

 private:
  // What a rule says of a cgroup or a network namespace.
  struct Verdict {
    bool letIn = false;
    std::string field;  // "served.leave_out[0]"
    bool operator==(const Verdict&) const = default;
  };
  // By its path, and by the pod that it belongs to. What leaves out wins.
  struct Verdicts {
    std::optional<Verdict> byPath;
    std::optional<Verdict> byPod;
    const Verdict* inForce() const;
  };

  ServedPods(EventLoop& loop, KernelMaps& maps, const ServedOptions& options)
      : loop_(loop), rules_(maps), options_(options) {}
  Status watchCgroups(const std::string& root);
  Status watchPods(const std::string& root, const std::map<ServedId, bool>& earlier);
  Status watchNamespaces();
  Status replaceEarlier(const std::map<ServedId, bool>& earlier);
  void takeCgroup(const CgroupWatch::Change& change);
  void takePodFolder(const CgroupWatch::Change& change);
  void takePod(const PodChange& change);
  void forgetEarlier();
  void lookAtNamespaces();
  void set(const ServedId& id, std::optional<Verdict> Verdicts::*by, std::optional<Verdict> now,
           const std::string& what);
  void put(const ServedId& id, const Verdict& verdict, const std::string& what, bool isNew);
  void erase(const ServedId& id, const std::string& what);

  EventLoop& loop_;
  ServedRules rules_;
  ServedOptions options_;
  std::map<ServedId, Verdicts> wanted_;
  std::vector<std::string> patterns_;  // of namespaces
  std::unique_ptr<CgroupWatch> cgroups_;
  std::unique_ptr<NetnsWatch> namespaces_;
  EventLoop::TimerId nextLook_ = 0;

  // Of pods, by uid: their cgroups that there are, and what the API server's word leads to.
  std::unique_ptr<CgroupWatch> podFolders_;
  std::map<std::string, std::map<std::uint64_t, std::string>> folders_;  // paths by cgroup id
  std::map<std::string, Verdict> pods_;
  // Cgroups with a rule of an earlier agent that no list has confirmed or ended yet.
  std::set<ServedId> fromEarlier_;
};

}  // namespace sockmesh
