// SPDX-License-Identifier: Apache-2.0
#include "dns/resolved_endpoints.h"

#include <algorithm>
#include <limits>
#include <unordered_map>
#include <utility>

#include "model/unreachable.h"

namespace sockmesh {
namespace {

std::uint32_t sumOf(std::uint32_t a, std::uint32_t b) {
  const auto sum = static_cast<std::uint64_t>(a) + b;
  return static_cast<std::uint32_t>(
      std::min<std::uint64_t>(sum, std::numeric_limits<std::uint32_t>::max()));
}

class Builder {
 public:
  explicit Builder(const DnsDiscovery& discovery)
      : logical_(discovery.logical), made_(std::make_shared<LoadAssignment>(discovery.frame)) {}

  void add(const DnsTarget& target, const KnownName* known) {
    if (target.literal) return addEndpoint(target, *target.literal, std::nullopt);
    if (known == nullptr) return;
    if (logical_) return addFirst(target, known->inOrder);
    for (const IpAddress& ip : known->addresses) addEndpoint(target, ip, std::nullopt);
  }

  std::shared_ptr<const LoadAssignment> take() { return std::move(made_); }

 private:
  void addFirst(const DnsTarget& target, const std::vector<IpAddress>& inOrder) {
    if (inOrder.empty()) return;
    const auto other = std::ranges::find_if(
        inOrder, [&](const IpAddress& ip) { return ip.isV4() != inOrder.front().isV4(); });
    addEndpoint(target, inOrder.front(),
                other == inOrder.end() ? std::nullopt : std::optional(*other));
  }

  void addEndpoint(const DnsTarget& target, const IpAddress& ip,
                   const std::optional<IpAddress>& other) {
    Endpoint endpoint = target.pattern;
    endpoint.address = {ip, target.port};
    if (other) endpoint.otherAddress = SocketAddress{*other, target.port};
    auto& endpoints = made_->localities[target.locality].endpoints;
    const auto [place, isNew] =
        places_.try_emplace(endpoint.address, target.locality, endpoints.size());
    if (isNew) {
      if (const auto found =
              unreachable(made_->clusterName, endpoint.address, endpoint.otherAddress, {})) {
        made_->unreachable.push_back(found->address.toString() + ": " + found->why);
      }
      endpoints.push_back(std::move(endpoint));
    } else if (place->second.first == target.locality) {
      Endpoint& known = endpoints[place->second.second];
      known.weight = sumOf(known.weight, endpoint.weight);
    }
  }

  bool logical_;
  std::shared_ptr<LoadAssignment> made_;
  // Locality, and place in it.
  std::unordered_map<SocketAddress, std::pair<std::size_t, std::size_t>> places_;
};

bool sameEndpoint(const Endpoint& a, const Endpoint& b) {
  return a.address == b.address && a.otherAddress == b.otherAddress && a.weight == b.weight;
}

}  // namespace

std::set<DnsQuestion> questionsOf(const DnsDiscovery& discovery) {
  std::set<DnsQuestion> questions;
  for (const DnsTarget& target : discovery.targets) {
    if (!target.literal) questions.insert(discovery.questionOf(target));
  }
  return questions;
}

std::shared_ptr<const LoadAssignment> resolvedEndpoints(const DnsDiscovery& discovery,
                                                        const NameSchedule& names) {
  Builder builder(discovery);
  bool waits = false;
  bool any = false;
  for (const DnsTarget& target : discovery.targets) {
    const KnownName* known = target.literal ? nullptr : names.find(discovery.questionOf(target));
    waits = waits || (!target.literal && (known == nullptr || !known->ended));
    any = any || target.literal || (known != nullptr && !known->inOrder.empty());
    builder.add(target, known);
  }
  return waits && !any ? nullptr : builder.take();
}

bool neverResolved(const DnsDiscovery& discovery, const NameSchedule& names) {
  return !discovery.targets.empty() &&
         std::ranges::all_of(discovery.targets, [&](const DnsTarget& target) {
           if (target.literal) return false;
           const KnownName* known = names.find(discovery.questionOf(target));
           if (known == nullptr || !known->ended) return false;
           return discovery.logical ? known->inOrder.empty() : !known->answered;
         });
}

bool sameEndpoints(const LoadAssignment& a, const LoadAssignment& b) {
  return a.unreachable == b.unreachable &&
         std::ranges::equal(a.localities, b.localities, [](const auto& x, const auto& y) {
           return std::ranges::equal(x.endpoints, y.endpoints, sameEndpoint);
         });
}

}  // namespace sockmesh
