// SPDX-License-Identifier: Apache-2.0
// Services that go on as the kernel has them, because the control plane has not said enough about
// them yet. After a restart the tables of the earlier agent are better than "unknown".
#pragma once

#include <set>
#include <string>

#include "lb/tables.h"
#include "model/unknowns.h"

namespace sockmesh {

// A service that is not brought to what was compiled.
struct HeldService {
  std::string name;  // the listener's
  VipKey key;
  // The clusters whose endpoints or definition it waits for. Empty: it waits for its listener.
  std::set<std::string> clusters;
};

// The clusters that `wanted` waits for. Empty: it waits for none, or it must not wait because one
// of its legs must not be balanced (TLS).
std::set<std::string> clustersToWaitFor(const LbService& wanted, const Unknowns& unknowns);

// Whether the kernel balances or refuses connections to this service, so that there is something to
// keep.
bool decides(const LbService& inKernel);

// Whether the service leads to the cluster, and leaves its connections alone: there is nothing of
// it to hold.
bool leavesAlone(const LbService& inKernel, const std::string& cluster);

// Names of all clusters whose hosts the service's groups name.
std::set<std::string> clustersOf(const LbService& service);

}  // namespace sockmesh
