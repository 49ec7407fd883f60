// SPDX-License-Identifier: Apache-2.0
// Listener: a VIP for every address that a tcp_proxy or a udp_proxy stands behind; everything else
// is left alone with a reason. docs/envoy.md 7.1 to 7.5.
#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "xds/decode.h"
#include "xds/decode_common.h"
#include "xds/filter_chains.h"
#include "xds/network_filters.h"
#include "xds/udp_proxy.h"

namespace sockmesh {

namespace core = envoy::config::core::v3;
using ProtoListener = envoy::config::listener::v3::Listener;

namespace {

struct Address {
  SocketAddress value;
  bool udp = false;
};

// Nullopt for an address that is not an IP address. An error is added only if the address is
// invalid.
std::optional<Address> decodeAddress(const core::Address& proto, FieldErrors& errors) {
  const FieldErrors::Scope scope(errors, "address");
  if (proto.has_socket_address()) {
    const FieldErrors::Scope socket(errors, "socket_address");
    const auto decoded = decodeSocketAddress(proto.socket_address(), 0, errors);
    if (!decoded) return std::nullopt;
    return Address{*decoded, proto.socket_address().protocol() == core::SocketAddress::UDP};
  }
  if (proto.has_pipe()) {
    checkNotEmpty(proto.pipe().path(), "pipe.path", errors);
  } else {
    errors.add("needs a socket_address");
  }
  return std::nullopt;
}

// The listener's address and its additional_addresses.
std::vector<Address> decodeAddresses(const ProtoListener& proto, FieldErrors& errors) {
  std::vector<Address> addresses;
  if (proto.has_internal_listener()) {
    if (proto.has_address()) errors.add("address", "is not allowed in an internal listener");
    return addresses;
  }
  if (proto.has_api_listener() && !proto.has_address()) return addresses;
  if (auto first = decodeAddress(proto.address(), errors)) addresses.push_back(*first);
  for (int i = 0; i < proto.additional_addresses_size(); ++i) {
    const FieldErrors::Scope scope(errors, "additional_addresses", i);
    const auto more = decodeAddress(proto.additional_addresses(i).address(), errors);
    if (!more) continue;
    if (!addresses.empty() && more->udp != addresses.front().udp) {
      errors.add("address.socket_address.protocol", "differs from the listener's");
    }
    addresses.push_back(*more);
  }
  return addresses;
}

// The route of every chain, as decodeChain() leaves it, by path.
using Routes = std::map<std::string, ChainRoute>;

Routes decodeChains(const ProtoListener& proto, FieldErrors& errors) {
  Routes routes;
  for (int i = 0; i < proto.filter_chains_size(); ++i) {
    const FieldErrors::Scope scope(errors, "filter_chains", i);
    routes.emplace("filter_chains[" + std::to_string(i) + "]",
                   decodeChain(proto.filter_chains(i), errors));
  }
  if (proto.has_default_filter_chain()) {
    const FieldErrors::Scope scope(errors, "default_filter_chain");
    routes.emplace("default_filter_chain", decodeChain(proto.default_filter_chain(), errors));
  }
  return routes;
}

// Why a connect() never meets the listener, whatever its chains are. Empty if a connect() may meet
// it.
std::string outOfReach(const ProtoListener& proto) {
  if (proto.has_api_listener()) return "api_listener: for gRPC clients";
  if (proto.has_internal_listener()) return "internal listener";
  if (proto.traffic_direction() == core::INBOUND) return "INBOUND";
  if (proto.address().has_pipe()) return "pipe " + proto.address().pipe().path();
  if (proto.use_original_dst().value()) {
    return "use_original_dst: hands redirected connections to other listeners";
  }
  for (const auto& filter : proto.listener_filters()) {
    if (decidesOverConnections(filter.name(), configTypeName(filter.typed_config()))) {
      return "listener filter " + filter.name() + " decides over connections";
    }
  }
  if (proto.has_filter_chain_matcher()) return "filter_chain_matcher is not supported";
  return "";
}

std::string noVip(const SocketAddress& address) {
  if (address.ip.isUnspecified()) return "wildcard address " + address.toString();
  if (address.port == 0) return "no port: " + address.toString();
  return "";
}

// Gives `listener` its VIPs and their common route, which is the route of the first address that
// has one. Addresses that meet another chain are listed. Returns why there is no VIP, or nothing.
std::string assignVips(const std::vector<Address>& addresses, const FilterChains& chains,
                       const Routes& routes, Listener& listener) {
  std::string why;
  std::string path;
  std::vector<std::string> leftOut;
  const auto leaveOut = [&](const SocketAddress& address, const std::string& reason) {
    if (why.empty()) why = reason;
    leftOut.push_back("address " + address.toString() + ": " + reason);
  };
  for (const Address& address : addresses) {
    if (const std::string reason = noVip(address.value); !reason.empty()) {
      leaveOut(address.value, reason);
      continue;
    }
    const FilterChains::Choice choice = chains.choose(address.value);
    const auto route = routes.find(choice.path);
    if (route == routes.end() || !route->second.leftAlone.empty()) {
      leaveOut(address.value, route == routes.end() ? choice.whyNone : route->second.leftAlone);
    } else if (!path.empty() && path != choice.path) {
      leaveOut(address.value, "meets another filter chain than the listener's first address");
    } else if (std::find(listener.addresses.begin(), listener.addresses.end(), address.value) ==
               listener.addresses.end()) {
      path = choice.path;
      listener.addresses.push_back(address.value);
    }
  }
  if (listener.addresses.empty()) return why;
  listener.route = routes.at(path).route;
  listener.notHonoured = routes.at(path).notHonoured;
  listener.notHonoured.insert(listener.notHonoured.end(), leftOut.begin(), leftOut.end());
  return "";
}

// The same for a UDP listener, which has one route for all of its addresses.
std::string assignUdpVips(const std::vector<Address>& addresses, ChainRoute udp,
                          Listener& listener) {
  if (!udp.leftAlone.empty()) return udp.leftAlone;
  listener.protocol = Protocol::kUdp;
  listener.route = std::move(udp.route);
  listener.notHonoured = std::move(udp.notHonoured);
  std::string why;
  for (const Address& address : addresses) {
    const std::string reason = noVip(address.value);
    auto& vips = listener.addresses;
    if (!reason.empty()) {
      if (why.empty()) why = reason;
      listener.notHonoured.push_back("address " + address.value.toString() + ": " + reason);
    } else if (std::find(vips.begin(), vips.end(), address.value) == vips.end()) {
      vips.push_back(address.value);
    }
  }
  return listener.addresses.empty() ? why : "";
}

}  // namespace

Result<DecodedListener> decodeListener(const ProtoListener& proto) {
  FieldErrors errors;
  auto listener = std::make_shared<Listener>();
  listener->name = proto.name();
  listener->contentHash = contentHash(proto);
  checkNotEmpty(proto.name(), "name", errors);
  const auto addresses = decodeAddresses(proto, errors);
  const FilterChains chains(proto, errors);
  const Routes routes = decodeChains(proto, errors);
  const bool udp = !addresses.empty() && addresses.front().udp;
  if (routes.empty() && !udp && !proto.has_api_listener()) {
    errors.add("filter_chains", "must not be empty");
  }
  ChainRoute udpRoute = udp ? decodeUdpFilters(proto, errors) : ChainRoute();
  std::string leftAlone = outOfReach(proto);
  if (!errors.empty()) return errors.error();
  if (leftAlone.empty()) {
    leftAlone = udp ? assignUdpVips(addresses, std::move(udpRoute), *listener)
                    : assignVips(addresses, chains, routes, *listener);
  }
  if (!leftAlone.empty()) return DecodedListener{nullptr, std::move(leftAlone)};
  return DecodedListener{std::move(listener), ""};
}

}  // namespace sockmesh
