// SPDX-License-Identifier: Apache-2.0
#include "lb/table_check.h"

#include <cstddef>
#include <string>

#include "lb/cell_check.h"
#include "lb/policy/policy.h"

namespace sockmesh {

Status checkTables(const LbService& service) {
  if (service.groups.empty() || service.pickSize == 0 || service.pickSize > service.groups.size()) {
    return Error("pick_size: " + std::to_string(service.pickSize) + " of " +
                 std::to_string(service.groups.size()) + " groups");
  }
  if (service.pickSize > 1 && !service.pick) return Error("no pick table");
  if (service.pick) {
    if (auto ok = checkAlias(service.pick->cells, service.pickSize); !ok) {
      return ok.error().in("pick");
    }
  }
  for (std::size_t i = 0; i < service.groups.size(); ++i) {
    const LbGroup& group = *service.groups[i];
    if (auto ok = policyOf(group.policy).check(group, service.groups.size()); !ok) {
      return ok.error().in("groups[" + std::to_string(i) + "]");
    }
  }
  for (const auto& only : {service.ipv4Only, service.ipv6Only}) {
    if (!only) continue;
    if (auto ok = checkTables(*only); !ok) {
      return ok.error().in(only == service.ipv4Only ? "ipv4_only" : "ipv6_only");
    }
  }
  return {};
}

}  // namespace sockmesh
