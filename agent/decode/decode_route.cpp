// SPDX-License-Identifier: Apache-2.0
// RouteConfiguration: of each virtual host the route that takes every request. docs/routes.md.
#include <algorithm>
#include <cctype>
#include <set>
#include <utility>

#include "decode/decode.h"
#include "decode/decode_common.h"
#include "decode/decode_route.h"

namespace sockmesh {

namespace route = envoy::config::route::v3;

namespace {

std::string lowerCase(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

// The address that a domain names, with port 0 where the domain has no port. Nothing for a name.
std::optional<SocketAddress> addressOf(const std::string& domain) {
  if (const auto withPort = SocketAddress::parse(domain); withPort.ok()) return *withPort;
  const bool bracketed = domain.starts_with('[') && domain.ends_with(']');
  const auto ip = IpAddress::parse(bracketed ? domain.substr(1, domain.size() - 2) : domain);
  if (!ip.ok()) return std::nullopt;
  return SocketAddress{*ip, 0};
}

// Domains are unique within the configuration: `seen` has those of earlier virtual hosts.
void decodeDomains(const route::VirtualHost& proto, std::set<std::string>& seen,
                   VirtualHost& decoded, FieldErrors& errors) {
  if (proto.domains().empty()) errors.add("domains", "must not be empty");
  for (int i = 0; i < proto.domains_size(); ++i) {
    const FieldErrors::Scope scope(errors, "domains", i);
    const std::string domain = lowerCase(proto.domains(i));
    if (!seen.insert(domain).second) errors.add("'" + domain + "' is there more than once");
    if (domain == "*") decoded.anyDomain = true;
    if (const auto address = addressOf(domain)) {
      decoded.addresses.push_back(*address);
    } else if (decoded.hostName.empty() && !domain.starts_with('*') && !domain.ends_with('*')) {
      decoded.hostName = domain;
    }
  }
}

std::string placeOf(const route::Route& proto, int index) {
  const std::string place = "routes[" + std::to_string(index) + "]";
  return proto.name().empty() ? place : place + " " + proto.name();
}

void append(std::vector<std::string>& all, std::vector<std::string> more) {
  for (std::string& one : more) all.push_back(std::move(one));
}

// What is different for the requests of a route that does not take all of them.
std::string exception(const route::Route& proto, const RouteTarget& target,
                      const RouteTarget& catchAll, const std::vector<std::string>& features) {
  const std::string requests = "requests with " + conditionsOf(proto.match());
  if (!target.leftAlone.empty()) return requests + ": the route " + target.leftAlone;
  if (target.clusters.clusters != catchAll.clusters.clusters) {
    return requests + " go to " + clustersText(target.clusters);
  }
  const std::vector<std::string> own = requestFeatures(proto);
  if (own == features && target.requestHashes == catchAll.requestHashes) return "";
  return requests + " are handled in another way";
}

struct DecodedRoute {
  const route::Route* proto = nullptr;
  RouteTarget target;
  std::string place;
};

// The first route that takes every request. Routes behind it are never met.
std::size_t catchAllOf(const std::vector<DecodedRoute>& routes) {
  const auto found = std::ranges::find_if(
      routes, [](const DecodedRoute& one) { return takesEveryRequest(one.proto->match()); });
  return static_cast<std::size_t>(found - routes.begin());
}

void takeCatchAll(const std::vector<DecodedRoute>& routes, std::size_t index,
                  VirtualHost& decoded) {
  const DecodedRoute& catchAll = routes[index];
  decoded.route = catchAll.place;
  if (!catchAll.target.leftAlone.empty()) {
    decoded.leftAlone = catchAll.place + " " + catchAll.target.leftAlone;
    return;
  }
  decoded.target = catchAll.target.clusters;
  const std::vector<std::string> features = requestFeatures(*catchAll.proto);
  for (std::size_t i = 0; i < index; ++i) {
    const std::string what =
        exception(*routes[i].proto, routes[i].target, catchAll.target, features);
    if (!what.empty()) decoded.needsLayer7.push_back(routes[i].place + ": " + what);
  }
  append(decoded.needsLayer7, features);
  std::set<std::string> listed;
  for (const std::string& hash : catchAll.target.requestHashes) {
    if (!listed.insert(hash).second) continue;
    decoded.needsLayer7.push_back("hash_policy: " + hash + " is not known at connect()");
  }
}

void takeRoutes(const route::VirtualHost& proto, VirtualHost& decoded, FieldErrors& errors) {
  std::vector<DecodedRoute> routes;
  for (int i = 0; i < proto.routes_size(); ++i) {
    const FieldErrors::Scope scope(errors, "routes", i);
    checkRouteMatch(proto.routes(i).match(), errors);
    routes.push_back({&proto.routes(i), decodeRouteTarget(proto.routes(i), errors),
                      placeOf(proto.routes(i), i)});
  }
  const std::size_t index = catchAllOf(routes);
  if (proto.has_matcher()) {
    decoded.leftAlone = "matcher is not supported";
  } else if (proto.require_tls() == route::VirtualHost::ALL) {
    decoded.leftAlone = "require_tls: redirects requests to HTTPS";
  } else if (index == routes.size()) {
    decoded.leftAlone = "no route takes every request: needs layer 7";
  } else {
    takeCatchAll(routes, index, decoded);
    const route::Route& catchAll = proto.routes(static_cast<int>(index));
    append(decoded.needsLayer7, requestFeatures(proto, catchAll.route().has_retry_policy()));
  }
}

VirtualHost decodeVirtualHost(const route::VirtualHost& proto, std::set<std::string>& seen,
                              FieldErrors& errors) {
  VirtualHost decoded;
  decoded.name = proto.name();
  checkNotEmpty(proto.name(), "name", errors);
  checkEnum(route::VirtualHost::TlsRequirementType_IsValid(proto.require_tls()),
            proto.require_tls(), "require_tls", errors);
  decodeDomains(proto, seen, decoded, errors);
  takeRoutes(proto, decoded, errors);
  return decoded;
}

}  // namespace

RouteConfig decodeRouteConfigInto(const route::RouteConfiguration& proto, FieldErrors& errors) {
  RouteConfig decoded;
  decoded.name = proto.name();
  const std::vector<std::string> features = requestFeatures(proto);
  std::set<std::string> domains;
  for (int i = 0; i < proto.virtual_hosts_size(); ++i) {
    const FieldErrors::Scope scope(errors, "virtual_hosts", i);
    decoded.virtualHosts.push_back(decodeVirtualHost(proto.virtual_hosts(i), domains, errors));
    VirtualHost& host = decoded.virtualHosts.back();
    if (host.leftAlone.empty()) append(host.needsLayer7, features);
  }
  return decoded;
}

Result<std::shared_ptr<const RouteConfig>> decodeRouteConfig(
    const route::RouteConfiguration& proto) {
  FieldErrors errors;
  checkNotEmpty(proto.name(), "name", errors);
  auto decoded = std::make_shared<RouteConfig>(decodeRouteConfigInto(proto, errors));
  if (!errors.empty()) return errors.error();
  return std::shared_ptr<const RouteConfig>(std::move(decoded));
}

}  // namespace sockmesh
