// SPDX-License-Identifier: Apache-2.0
#include "store/workload_index.h"

#include <set>

namespace sockmesh {
namespace {

void agree(std::string& text, const std::string& other) {
  if (text != other) text.clear();
}

// Pods in the network of their host have its address.
std::shared_ptr<const Workload> agreed(const IpAddress& address,
                                       const std::vector<std::shared_ptr<const Workload>>& all) {
  auto common = std::make_shared<Workload>(*all.front());
  common->addresses = {address};
  for (const auto& one : all) {
    agree(common->name, one->name);
    agree(common->space, one->space);
    agree(common->node, one->node);
  }
  return common;
}

std::set<IpAddress> addressesOf(const Workload& workload) {
  return {workload.addresses.begin(), workload.addresses.end()};
}

}  // namespace

void WorkloadIndex::set(const std::string& name, const WorkloadPtr& newest) {
  const auto before = byName_.find(name);
  if (before != byName_.end() && *before->second == *newest) return;
  remove(name);
  byName_[name] = newest;
  inForce_.workloadResources = byName_.size();
  for (const IpAddress& address : addressesOf(*newest)) arrive(address, newest);
}

void WorkloadIndex::remove(const std::string& name) {
  const auto found = byName_.find(name);
  if (found == byName_.end()) return;
  const WorkloadPtr gone = found->second;
  byName_.erase(found);
  inForce_.workloadResources = byName_.size();
  for (const IpAddress& address : addressesOf(*gone)) leave(address, gone);
}

void WorkloadIndex::arrive(const IpAddress& address, const WorkloadPtr& workload) {
  const auto known = inForce_.workloads.find(address);
  if (known == inForce_.workloads.end()) {
    inForce_.workloads[address] = workload;
    return;
  }
  std::vector<WorkloadPtr>& all = shared_[address];
  if (all.empty()) all.push_back(known->second);
  all.push_back(workload);
  inForce_.workloads[address] = agreed(address, all);
}

void WorkloadIndex::leave(const IpAddress& address, const WorkloadPtr& workload) {
  const auto several = shared_.find(address);
  if (several == shared_.end()) {
    inForce_.workloads.erase(address);
    return;
  }
  std::vector<WorkloadPtr>& all = several->second;
  std::erase(all, workload);
  inForce_.workloads[address] = all.size() == 1 ? all.front() : agreed(address, all);
  if (all.size() == 1) shared_.erase(several);
}

}  // namespace sockmesh
