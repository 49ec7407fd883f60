// SPDX-License-Identifier: Apache-2.0
// Listener: its addresses, its filter chains and what each chain does, or its udp_proxy.
// docs/envoy.md 7.1 to 7.5.
#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "decode/decode.h"
#include "decode/decode_common.h"
#include "decode/filter_chains.h"
#include "decode/network_filters.h"
#include "decode/udp_proxy.h"

namespace sockmesh {

namespace core = envoy::config::core::v3;
using ProtoListener = envoy::config::listener::v3::Listener;

namespace {

constexpr std::string_view kOriginalDstFilter =
    "envoy.extensions.filters.listener.original_dst.v3.OriginalDst";

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

// Connections come with the destination that they had before they were redirected.
bool restoresDestination(const ProtoListener& proto) {
  for (const auto& filter : proto.listener_filters()) {
    if (configTypeName(filter.typed_config()) == kOriginalDstFilter) return true;
  }
  return false;
}

}  // namespace

Result<std::shared_ptr<const DecodedListener>> decodeListener(const ProtoListener& proto) {
  FieldErrors errors;
  checkNotEmpty(proto.name(), "name", errors);
  const auto addresses = decodeAddresses(proto, errors);
  FilterChains chains(proto, errors);
  Routes routes = decodeChains(proto, errors);
  const bool udp = !addresses.empty() && addresses.front().udp;
  if (routes.empty() && !udp && !proto.has_api_listener()) {
    errors.add("filter_chains", "must not be empty");
  }
  RareOptional<ChainRoute> udpRoute;
  if (udp) udpRoute = decodeUdpFilters(proto, errors);
  std::string leftAlone = outOfReach(proto);
  if (!errors.empty()) return errors.error();
  if (leftAlone.empty() && udpRoute) leftAlone = udpRoute->leftAlone;
  std::vector<SocketAddress> values;
  for (const Address& address : addresses) values.push_back(address.value);
  return std::make_shared<const DecodedListener>(
      DecodedListener{.name = proto.name(),
                      .addresses = std::move(values),
                      .originalDestination = restoresDestination(proto),
                      .chains = std::move(chains),
                      .routes = std::move(routes),
                      .udp = std::move(udpRoute),
                      .leftAlone = std::move(leftAlone)});
}

std::map<std::string, Nanos> DecodedListener::wantedRoutes() const {
  std::map<std::string, Nanos> wanted;
  if (!leftAlone.empty()) return wanted;
  for (const auto& [path, chain] : routes) {
    if (!chain.http || chain.http->inlined || !chain.leftAlone.empty()) continue;
    const auto [entry, isNew] =
        wanted.emplace(chain.http->routeConfig, chain.http->initialFetchTimeout);
    const bool forEver = chain.http->initialFetchTimeout == Nanos(0) || entry->second == Nanos(0);
    entry->second = forEver ? Nanos(0) : std::max(entry->second, chain.http->initialFetchTimeout);
  }
  return wanted;
}

}  // namespace sockmesh
