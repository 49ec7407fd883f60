// SPDX-License-Identifier: Apache-2.0
// Which workload has which address, kept at what the control plane says. A change costs what has
// changed. One thread.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "model/snapshot.h"

namespace sockmesh {

class WorkloadIndex {
 public:
  using WorkloadPtr = std::shared_ptr<const Workload>;

  // `inForce` is the snapshot to keep, and outlives this.
  explicit WorkloadIndex(Snapshot& inForce) : inForce_(inForce) {}

  // Whether workloads are wanted at all.
  void use(bool wanted) { used_ = wanted; }
  bool used() const { return used_; }
  // In force at once. `name` is the resource's.
  void set(const std::string& name, const WorkloadPtr& newest);
  void remove(const std::string& name);

 private:
  void arrive(const IpAddress& address, const WorkloadPtr& workload);
  void leave(const IpAddress& address, const WorkloadPtr& workload);

  Snapshot& inForce_;
  bool used_ = false;
  std::map<std::string, WorkloadPtr> byName_;
  std::map<IpAddress, std::vector<WorkloadPtr>> shared_;  // of addresses that several have
};

}  // namespace sockmesh
