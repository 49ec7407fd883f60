// SPDX-License-Identifier: Apache-2.0
#include "model/route_list.h"

#include <algorithm>
#include <map>
#include <utility>

namespace sockmesh {

RouteList routeList(const Snapshot& snapshot) {
  using Part = std::shared_ptr<const Listener>;
  std::map<std::pair<Vip, Protocol>, Part> owners;
  RouteList list;
  list.leftOut = snapshot.leftAloneList();
  const auto leaveOut = [&](const Vip& vip, const Part& part, const Part& owner) {
    list.leftOut.push_back(
        {part->name, "VIP " + vip.toString() + " belongs to " + owner->name, part->origin, {vip}});
  };
  for (const auto& [name, part] : snapshot.listeners) {
    for (const Vip& vip : part->addresses) {
      const auto [owner, isNew] = owners.try_emplace({vip, part->protocol}, part);
      if (isNew || owner->second == part) continue;
      Part loser = part;
      if (part->source < owner->second->source) std::swap(loser, owner->second);
      leaveOut(vip, loser, owner->second);
    }
  }
  for (const auto& [key, part] : owners) list.rows.push_back({key.first, part});
  std::ranges::stable_sort(list.leftOut, {}, &LeftAlone::name);
  return list;
}

}  // namespace sockmesh
