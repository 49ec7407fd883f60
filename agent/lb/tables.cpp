// SPDX-License-Identifier: Apache-2.0
#include "lb/tables.h"

#include <algorithm>

#include "lb/cell_table.h"

namespace sockmesh {

namespace {

// Equality as the kernel can tell it: it has a locality's name alone.
bool sameLocality(const Locality& a, const Locality& b) {
  return a == b || a.toString() == b.toString();
}

bool sameService(const std::shared_ptr<const LbService>& a,
                 const std::shared_ptr<const LbService>& b) {
  return a == b || (a && b && *a == *b);
}

}  // namespace

bool LbGroup::operator==(const LbGroup& other) const {
  return this == &other ||
         (policy == other.policy && reason == other.reason && cluster == other.cluster &&
          flags == other.flags && priority == other.priority &&
          sameLocality(locality, other.locality) && choiceCount == other.choiceCount &&
          biasQ16 == other.biasQ16 && balancePercent == other.balancePercent &&
          ringShift == other.ringShift && hosts == other.hosts &&
          otherAddresses == other.otherAddresses && sameContent(table, other.table));
}

bool LbService::sameLegs(const LbService& other) const {
  for (std::size_t i = 0; i < std::max(legs.size(), other.legs.size()); ++i) {
    if (legOf(i) != other.legOf(i)) return false;
  }
  return true;
}

bool LbService::operator==(const LbService& other) const {
  return this == &other ||
         (name == other.name && vip == other.vip && protocol == other.protocol &&
          pickSize == other.pickSize && flags == other.flags &&
          affinitySeconds == other.affinitySeconds && sameContent(pick, other.pick) &&
          sameLegs(other) && sameService(ipv4Only, other.ipv4Only) &&
          sameService(ipv6Only, other.ipv6Only) &&
          std::equal(groups.begin(), groups.end(), other.groups.begin(), other.groups.end(),
                     [](const auto& a, const auto& b) { return a == b || *a == *b; }));
}

}  // namespace sockmesh
