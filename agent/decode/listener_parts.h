// SPDX-License-Identifier: Apache-2.0
// A listener and its routes -> the listener's parts: which VIPs there are, where each leads, and
// what is left out. docs/routes.md has the rules.
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/rare.h"
#include "decode/decoded_listener.h"
#include "model/listener.h"
#include "model/name_table.h"
#include "model/route.h"

namespace sockmesh {

// A part either makes VIPs (`vips`), or has no effect on connect() for the given reason.
struct ListenerPart {
  std::string name;                      // see Listener::name
  std::shared_ptr<const Listener> vips;  // null: left alone
  Rare<LeftAlone> leftAlone;             // the reason then
};

// The routes of this name; null: none have come.
using RouteLookup = std::function<std::shared_ptr<const RouteConfig>(const std::string& name)>;

// Host names of services without a VIP.
struct ServiceNames {
  const NameTable& resolved;       // what is known of their addresses
  std::set<std::string> wanted{};  // out: those whose addresses would make VIPs of this listener
};

// At least one part; names are unique. `names` may be null; so may `services`, and then services
// without a VIP have none. The result depends on nothing but the arguments.
std::vector<ListenerPart> partsOf(const DecodedListener& listener, const RouteLookup& routes,
                                  const NameTable* names = nullptr,
                                  ServiceNames* services = nullptr);

}  // namespace sockmesh
