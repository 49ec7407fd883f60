// SPDX-License-Identifier: Apache-2.0
// Which listener, filter chain, virtual host and route made each VIP, and what was left out; for
// people. Looks at everything: on demand.
#pragma once

#include <memory>
#include <vector>

#include "model/listener.h"
#include "model/snapshot.h"

namespace sockmesh {

struct RouteRow {
  Vip vip;
  std::shared_ptr<const Listener> part;  // never null
};

struct RouteList {
  std::vector<RouteRow> rows;      // by VIP; a VIP of several parts is in the row of its owner
  std::vector<LeftAlone> leftOut;  // by name
};

RouteList routeList(const Snapshot& snapshot);

}  // namespace sockmesh
