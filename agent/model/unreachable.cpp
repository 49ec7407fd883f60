// SPDX-License-Identifier: Apache-2.0
#include "model/unreachable.h"

#include <algorithm>

namespace sockmesh {
namespace {

bool startsWith(const IpAddress& ip, std::uint8_t first, std::uint8_t second, std::uint8_t mask) {
  return ip.bytes()[0] == first && (ip.bytes()[1] & mask) == second;
}

bool isMulticast(const IpAddress& ip) {
  return ip.isV4() ? (ip.bytes()[12] & 0xf0) == 0xe0 : ip.bytes()[0] == 0xff;
}

bool isBroadcast(const IpAddress& ip) {
  return ip.isV4() && std::all_of(ip.bytes().begin() + 12, ip.bytes().end(),
                                  [](std::uint8_t byte) { return byte == 0xff; });
}

std::string why(const SocketAddress& address, const VipNames& vips) {
  const auto vip = vips.find(address);
  if (vip == vips.end()) return whyUnreachable(address);
  return "the VIP of service " + vip->second + ", to which connections are not balanced again";
}

VipNames vipsOf(const Snapshot& snapshot) {
  VipNames vips;
  for (const auto& [name, listener] : snapshot.listeners) {
    // It is the address of a host, too: connections to it reach that host.
    if (listener->source == VipSource::kResolved) continue;
    for (const Vip& vip : listener->addresses) {
      if (!vip.isRange()) vips.emplace(vip.address(), name);
    }
  }
  return vips;
}

}  // namespace

std::string whyUnreachable(const SocketAddress& address) {
  const IpAddress& ip = address.ip;
  if (ip.isUnspecified()) return "no host's address: the kernel connects the client to itself";
  if (isMulticast(ip)) return "a multicast address";
  if (isBroadcast(ip)) return "the broadcast address";
  if (startsWith(ip, 0xfe, 0x80, 0xc0)) return "a link-local address without its zone";
  if (address.port == 0) return "port 0";
  return "";
}

std::string UnreachableEndpoint::text() const {
  return "endpoint " + address.toString() + " of cluster " + cluster + " cannot be reached: " + why;
}

std::optional<UnreachableEndpoint> unreachable(const std::string& cluster,
                                               const SocketAddress& address,
                                               const std::optional<SocketAddress>& otherAddress,
                                               const VipNames& vips) {
  std::string reason = why(address, vips);
  if (!reason.empty()) return UnreachableEndpoint{cluster, address, std::move(reason)};
  if (!otherAddress) return std::nullopt;
  reason = why(*otherAddress, vips);
  if (reason.empty()) return std::nullopt;
  return UnreachableEndpoint{cluster, *otherAddress, std::move(reason)};
}

std::vector<UnreachableEndpoint> unreachableEndpoints(const Snapshot& snapshot) {
  const VipNames vips = vipsOf(snapshot);
  std::vector<UnreachableEndpoint> out;
  for (const auto& [name, cluster] : snapshot.clusters) {
    const auto assignment = snapshot.assignmentOf(*cluster);
    if (!assignment) continue;
    for (const LocalityEndpoints& group : assignment->localities) {
      for (const Endpoint& one : group.endpoints) {
        auto found = unreachable(name, one.address, one.otherAddress, vips);
        if (found) out.push_back(std::move(*found));
      }
    }
  }
  return out;
}

}  // namespace sockmesh
