// SPDX-License-Identifier: Apache-2.0
#include "decode/http_manager.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "decode/decode.h"
#include "decode/decode_common.h"
#include "decode/file_names.h"
#include "decode/network_filters.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"

namespace sockmesh {

namespace core = envoy::config::core::v3;
namespace hcm = envoy::extensions::filters::network::http_connection_manager::v3;

namespace {

constexpr Nanos kDefaultFetchTimeout = std::chrono::seconds(15);

// Filters that change nothing of what is asked for, or nothing unless a route configures them.
constexpr std::array<std::string_view, 12> kHarmless = {"router",        "cors",
                                                        "grpc_stats",    "grpc_web",
                                                        "istio.alpn",    "istio.filters.http.alpn",
                                                        "istio_stats",   "stats.pluginconfig",
                                                        "stackdriver",   "metadata_exchange",
                                                        "peer_metadata", "peermetadata"};

bool isHarmless(const std::string& words) {
  return std::ranges::any_of(
      kHarmless, [&](std::string_view word) { return words.find(word) != std::string::npos; });
}

std::string lowerCase(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

void decodeRds(const hcm::Rds& rds, HttpChain& chain, FieldErrors& errors) {
  const FieldErrors::Scope scope(errors, "rds");
  checkNotEmpty(rds.route_config_name(), "route_config_name", errors);
  chain.routeConfig =
      sourcedName(rds.route_config_name(), rds.config_source(), "config_source", errors);
  chain.initialFetchTimeout =
      duration(rds.config_source().has_initial_fetch_timeout(),
               rds.config_source().initial_fetch_timeout(), kDefaultFetchTimeout,
               DurationRule::kNotNegative, "config_source.initial_fetch_timeout", errors);
}

void decodeRoutes(const hcm::HttpConnectionManager& proto, HttpManager& manager,
                  FieldErrors& errors) {
  switch (proto.route_specifier_case()) {
    case hcm::HttpConnectionManager::kRds:
      return decodeRds(proto.rds(), manager.chain, errors);
    case hcm::HttpConnectionManager::kRouteConfig: {
      const FieldErrors::Scope scope(errors, "route_config");
      manager.chain.routeConfig = proto.route_config().name();
      manager.chain.inlined =
          std::make_shared<const RouteConfig>(decodeRouteConfigInto(proto.route_config(), errors));
      return;
    }
    case hcm::HttpConnectionManager::kScopedRoutes:
      manager.leftAlone = "scoped_routes: a request selects the routes";
      return;
    case hcm::HttpConnectionManager::ROUTE_SPECIFIER_NOT_SET:
      errors.add("route_specifier", "needs rds or route_config");
  }
}

void decodeFilter(const hcm::HttpFilter& filter, HttpManager& manager, FieldErrors& errors) {
  checkNotEmpty(filter.name(), "name", errors);
  if (filter.disabled()) return;
  std::string type = configTypeName(filter.typed_config());
  for (const auto& url : filter.config_discovery().type_urls()) type += ' ' + url;
  const std::string words = lowerCase(filter.name() + ' ' + type);
  if (decidesOverConnections(filter.name(), type)) {
    if (manager.leftAlone.empty()) {
      manager.leftAlone = "HTTP filter " + filter.name() + " decides over requests";
    }
    return;
  }
  // The fault filter does nothing by itself; routes configure it.
  const bool idle =
      words.find("fault") != std::string::npos && filter.typed_config().value().empty();
  if (idle || isHarmless(words)) return;
  manager.chain.needsLayer7.push_back("http_filters: " + filter.name() + " is not applied");
}

}  // namespace

bool isHttpManager(const google::protobuf::Any& config) {
  return configTypeName(config) == hcm::HttpConnectionManager::descriptor()->full_name();
}

HttpManager decodeHttpManager(const google::protobuf::Any& config, FieldErrors& errors) {
  HttpManager manager;
  hcm::HttpConnectionManager proto;
  if (!isType<hcm::HttpConnectionManager>(config)) {
    manager.leftAlone = "an HTTP connection manager in a TypedStruct is not read";
    return manager;
  }
  if (!unpack(config, proto, errors)) return manager;
  const FieldErrors::Scope scope(errors, "typed_config");
  checkNotEmpty(proto.stat_prefix(), "stat_prefix", errors);
  decodeRoutes(proto, manager, errors);
  for (int i = 0; i < proto.http_filters_size(); ++i) {
    const FieldErrors::Scope filter(errors, "http_filters", i);
    decodeFilter(proto.http_filters(i), manager, errors);
  }
  return manager;
}

}  // namespace sockmesh
