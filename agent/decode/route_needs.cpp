// SPDX-License-Identifier: Apache-2.0
// What of a route only a proxy can do that sees requests: its conditions and its features.
#include <array>
#include <utility>

#include "decode/decode_common.h"
#include "decode/decode_route.h"

namespace sockmesh {

namespace route = envoy::config::route::v3;
using Match = route::RouteMatch;

namespace {

using Features = std::vector<std::string>;

constexpr const char* kNotChanged = "requests and answers are not changed";
constexpr const char* kNotRepeated = "a failed request is not sent again";
constexpr const char* kNotTimed = "requests are not timed";
constexpr const char* kNotCopied = "requests are not copied";
constexpr const char* kNotCounted = "requests are not counted";

void addIf(bool present, const char* field, const char* why, Features& out) {
  if (present) out.push_back(std::string(field) + ": " + why);
}

template <typename Filters>
void addFilters(const Filters& filters, Features& out) {
  for (const auto& [name, config] : filters) {
    out.push_back("typed_per_filter_config: " + name + " is not applied");
  }
}

template <typename Proto>
void addHeaders(const Proto& proto, Features& out) {
  addIf(!proto.request_headers_to_add().empty(), "request_headers_to_add", kNotChanged, out);
  addIf(!proto.request_headers_to_remove().empty(), "request_headers_to_remove", kNotChanged, out);
  addIf(!proto.response_headers_to_add().empty(), "response_headers_to_add", kNotChanged, out);
  addIf(!proto.response_headers_to_remove().empty(), "response_headers_to_remove", kNotChanged,
        out);
}

bool positive(bool present, const google::protobuf::Duration& time) {
  return present && (time.seconds() > 0 || time.nanos() > 0);
}

void addRewrites(const route::RouteAction& action, Features& out) {
  addIf(!action.prefix_rewrite().empty(), "prefix_rewrite", kNotChanged, out);
  addIf(action.has_regex_rewrite(), "regex_rewrite", kNotChanged, out);
  addIf(action.has_path_rewrite_policy(), "path_rewrite_policy", kNotChanged, out);
  addIf(action.host_rewrite_specifier_case() != route::RouteAction::HOST_REWRITE_SPECIFIER_NOT_SET,
        "host_rewrite_specifier", kNotChanged, out);
  addIf(action.append_x_forwarded_host(), "append_x_forwarded_host", kNotChanged, out);
}

void addActionFeatures(const route::RouteAction& action, Features& out) {
  addRewrites(action, out);
  addIf(positive(action.has_timeout(), action.timeout()), "timeout", kNotTimed, out);
  addIf(positive(action.has_idle_timeout(), action.idle_timeout()), "idle_timeout", kNotTimed, out);
  addIf(action.has_max_stream_duration(), "max_stream_duration", kNotTimed, out);
  addIf(action.has_retry_policy(), "retry_policy", kNotRepeated, out);
  addIf(action.has_retry_policy_typed_config(), "retry_policy_typed_config", kNotRepeated, out);
  addIf(action.has_hedge_policy(), "hedge_policy", kNotRepeated, out);
  addIf(action.has_internal_redirect_policy(), "internal_redirect_policy", kNotRepeated, out);
  addIf(!action.request_mirror_policies().empty(), "request_mirror_policies", kNotCopied, out);
  addIf(!action.rate_limits().empty(), "rate_limits", kNotCounted, out);
  addIf(action.has_cors(), "cors", kNotChanged, out);
  const auto& split = action.weighted_clusters();
  addIf(!split.header_name().empty(), "weighted_clusters.header_name",
        "the leg is drawn for each connection", out);
  addIf(split.use_hash_policy().value(), "weighted_clusters.use_hash_policy",
        "the leg is drawn for each connection", out);
  for (const auto& leg : split.clusters()) {
    addFilters(leg.typed_per_filter_config(), out);
    addIf(!leg.host_rewrite_literal().empty(), "weighted_clusters.host_rewrite_literal",
          kNotChanged, out);
  }
}

std::string pathCondition(const Match& match) {
  switch (match.path_specifier_case()) {
    case Match::kPrefix:
      return match.prefix() == "/" || match.prefix().empty() ? "" : "prefix " + match.prefix();
    case Match::kPath:
      return "path " + match.path();
    case Match::kSafeRegex:
      return "path like " + match.safe_regex().regex();
    case Match::kPathSeparatedPrefix:
      return "prefix " + match.path_separated_prefix();
    case Match::kConnectMatcher:
      return "method CONNECT";
    case Match::kPathMatchPolicy:
      return "path by " + match.path_match_policy().name();
    case Match::PATH_SPECIFIER_NOT_SET:
      return "";
  }
  return "";
}

// Of 100 %; without a default value Envoy takes none of the requests.
bool isAlways(const Match& match) {
  static constexpr std::array<std::uint32_t, 3> kDenominators = {100, 10000, 1000000};
  if (!match.has_runtime_fraction()) return true;
  const auto& fraction = match.runtime_fraction().default_value();
  const auto index = static_cast<std::size_t>(fraction.denominator());
  return index < kDenominators.size() && fraction.numerator() >= kDenominators.at(index);
}

bool everyPath(const Match& match) {
  switch (match.path_specifier_case()) {
    case Match::kPrefix:
      return match.prefix().empty() || match.prefix() == "/";
    case Match::kSafeRegex:
      return match.safe_regex().regex() == ".*" || match.safe_regex().regex() == "/.*";
    case Match::kPath:
    case Match::kPathSeparatedPrefix:
    case Match::kConnectMatcher:
    case Match::kPathMatchPolicy:
    case Match::PATH_SPECIFIER_NOT_SET:
      return false;
  }
  return false;
}

}  // namespace

void checkRouteMatch(const Match& match, FieldErrors& errors) {
  if (match.path_specifier_case() == Match::PATH_SPECIFIER_NOT_SET) {
    errors.add("match.path_specifier", "is required");
  }
}

bool takesEveryRequest(const Match& match) {
  return everyPath(match) && match.headers().empty() && match.query_parameters().empty() &&
         !match.has_grpc() && !match.has_tls_context() && match.dynamic_metadata().empty() &&
         match.filter_state().empty() && isAlways(match);
}

std::string conditionsOf(const Match& match) {
  std::string text;
  const auto add = [&](const std::string& condition) {
    if (!condition.empty()) text += (text.empty() ? "" : ", ") + condition;
  };
  add(pathCondition(match));
  for (const auto& header : match.headers()) add("header " + header.name());
  for (const auto& parameter : match.query_parameters()) {
    add("query parameter " + parameter.name());
  }
  if (match.has_grpc()) add("gRPC");
  if (match.has_tls_context()) add("a TLS context");
  if (!match.dynamic_metadata().empty()) add("dynamic metadata");
  if (!match.filter_state().empty()) add("filter state");
  if (!isAlways(match)) add("a part of all (runtime_fraction)");
  return text.empty() ? "any path" : text;
}

std::vector<std::string> requestFeatures(const route::Route& proto) {
  Features out;
  if (proto.has_route()) addActionFeatures(proto.route(), out);
  addHeaders(proto, out);
  addFilters(proto.typed_per_filter_config(), out);
  return out;
}

std::vector<std::string> requestFeatures(const route::VirtualHost& proto, bool routeRetries) {
  Features out;
  addIf(proto.require_tls() == route::VirtualHost::EXTERNAL_ONLY, "require_tls",
        "external requests are not redirected to HTTPS", out);
  addIf(proto.has_retry_policy() && !routeRetries, "retry_policy", kNotRepeated, out);
  addIf(proto.has_retry_policy_typed_config(), "retry_policy_typed_config", kNotRepeated, out);
  addIf(proto.has_hedge_policy(), "hedge_policy", kNotRepeated, out);
  addIf(!proto.request_mirror_policies().empty(), "request_mirror_policies", kNotCopied, out);
  addIf(!proto.rate_limits().empty(), "rate_limits", kNotCounted, out);
  addIf(proto.has_cors(), "cors", kNotChanged, out);
  addHeaders(proto, out);
  addFilters(proto.typed_per_filter_config(), out);
  return out;
}

std::vector<std::string> requestFeatures(const route::RouteConfiguration& proto) {
  Features out;
  addIf(!proto.request_mirror_policies().empty(), "request_mirror_policies", kNotCopied, out);
  addHeaders(proto, out);
  addFilters(proto.typed_per_filter_config(), out);
  return out;
}

}  // namespace sockmesh
