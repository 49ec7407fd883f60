// SPDX-License-Identifier: Apache-2.0
// Keeps the kernel's rules on who is served equal to what the configuration says of the cgroups and
// network namespaces that there are. For the control thread.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/event_loop.h"
#include "base/result.h"
#include "daemon/cgroup_watch.h"
#include "daemon/netns_watch.h"
#include "daemon/served_config.h"
#include "datapath/served_rules.h"

namespace sockmesh {

class ServedPods {
 public:
  // Brings the rules of an earlier agent to what the options say; who was left out and still is
  // stays left out meanwhile. `loop` and `maps` outlive this. `cgroupRoot` is where the programs
  // are attached.
  static Result<std::unique_ptr<ServedPods>> start(EventLoop& loop, KernelMaps& maps,
                                                   const std::string& cgroupRoot,
                                                   const ServedOptions& options);
  ~ServedPods();
  ServedPods(const ServedPods&) = delete;
  ServedPods& operator=(const ServedPods&) = delete;

 private:
  ServedPods(EventLoop& loop, KernelMaps& maps, const ServedOptions& options)
      : loop_(loop), rules_(maps), options_(options) {}
  Status watchCgroups(const std::string& root);
  Status watchNamespaces();
  Status replaceEarlier(const std::set<ServedId>& earlier);
  void takeCgroup(const CgroupWatch::Change& change);
  void lookAtNamespaces();
  void put(const ServedId& id, bool letIn, const std::string& what, const std::string& field);
  void erase(const ServedId& id, const std::string& what);

  EventLoop& loop_;
  ServedRules rules_;
  ServedOptions options_;
  std::set<ServedId> wanted_;
  std::vector<std::string> patterns_;  // of namespaces
  std::unique_ptr<CgroupWatch> cgroups_;
  std::unique_ptr<NetnsWatch> namespaces_;
  EventLoop::TimerId nextLook_ = 0;
};

}  // namespace sockmesh
