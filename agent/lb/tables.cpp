// SPDX-License-Identifier: Apache-2.0
#include "lb/tables.h"

#include <algorithm>

#include "lb/cell_table.h"

namespace sockmesh {

namespace {

// Equality as the kernel can tell it: it has a locality's name alone.
bool sameLocality(const SharedLocality& a, const SharedLocality& b) {
  return a == b || a->toString() == b->toString();
}

// The values that are compared between two breaths.
constexpr std::size_t kPart = 1024;

template <typename T>
bool sameValues(const std::vector<T>& a, const std::vector<T>& b, Breather& breathe) {
  if (a.size() != b.size()) return false;
  for (std::size_t from = 0; from < a.size(); from += kPart) {
    const auto end = static_cast<std::ptrdiff_t>(std::min(a.size(), from + kPart));
    const auto begin = static_cast<std::ptrdiff_t>(from);
    if (!std::equal(a.begin() + begin, a.begin() + end, b.begin() + begin)) return false;
    breathe();
  }
  return true;
}

bool sameService(const std::shared_ptr<const LbService>& a,
                 const std::shared_ptr<const LbService>& b, Breather& breathe) {
  return a == b || (a && b && a->sameAs(*b, breathe));
}

}  // namespace

bool LbGroup::operator==(const LbGroup& other) const {
  Breather never;
  return sameAs(other, never);
}

bool LbGroup::sameAs(const LbGroup& other, Breather& breathe) const {
  return this == &other ||
         (policy == other.policy && reason == other.reason && cluster == other.cluster &&
          flags == other.flags && priority == other.priority &&
          sameLocality(locality, other.locality) && choiceCount == other.choiceCount &&
          biasQ16 == other.biasQ16 && balancePercent == other.balancePercent &&
          ringShift == other.ringShift && sameValues(hosts, other.hosts, breathe) &&
          sameValues(otherAddresses, other.otherAddresses, breathe) &&
          sameContent(table, other.table, breathe));
}

bool LbService::sameLegs(const LbService& other) const {
  for (std::size_t i = 0; i < std::max(legs.size(), other.legs.size()); ++i) {
    if (legOf(i) != other.legOf(i)) return false;
  }
  return true;
}

bool LbService::operator==(const LbService& other) const {
  Breather never;
  return sameAs(other, never);
}

bool LbService::sameAs(const LbService& other, Breather& breathe) const {
  return this == &other ||
         (name == other.name && vip == other.vip && protocol == other.protocol &&
          pickSize == other.pickSize && flags == other.flags &&
          affinitySeconds == other.affinitySeconds && sameContent(pick, other.pick, breathe) &&
          sameLegs(other) && sameService(ipv4Only, other.ipv4Only, breathe) &&
          sameService(ipv6Only, other.ipv6Only, breathe) &&
          std::equal(groups.begin(), groups.end(), other.groups.begin(), other.groups.end(),
                     [&](const auto& a, const auto& b) { return a->sameAs(*b, breathe); }));
}

bool LbCluster::sameAs(const LbCluster& other, Breather& breathe) const {
  return name == other.name && connectTimeout == other.connectTimeout &&
         ejection == other.ejection && endpoints.sameAs(other.endpoints, breathe);
}

}  // namespace sockmesh
