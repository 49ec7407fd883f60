// SPDX-License-Identifier: Apache-2.0
#include "config/ads_config.h"

#include <algorithm>

#include "base/host_port.h"

namespace sockmesh {
namespace {

// istiod answers pings that come faster than this with GOAWAY.
constexpr Nanos kFastestKeepalive = std::chrono::seconds(15);
constexpr Nanos kSlowestKeepalive = std::chrono::hours(24);
constexpr Nanos kShortestStaleAfter = std::chrono::seconds(1);
constexpr Nanos kLongestStaleAfter = std::chrono::hours(24 * 365);

// gRPC aborts the process when a header has another character.
void checkHeader(std::string_view field, const std::string& value, FieldErrors& errors) {
  if (std::ranges::all_of(value, [](unsigned char c) { return c > ' ' && c < 0x7F; })) return;
  errors.add(field, "must be ASCII without blanks");
}

std::optional<AdsTlsFiles> takeTls(const sockmesh::config::v1::Ads& proto, FieldErrors& errors) {
  if (!proto.has_tls()) return std::nullopt;
  const FieldErrors::Scope scope(errors, "tls");
  const AdsTlsFiles files{proto.tls().root_path(), proto.tls().certificate_path(),
                          proto.tls().key_path()};
  if (files.certificate.empty() != files.key.empty()) {
    errors.add(files.key.empty() ? "key_path" : "certificate_path",
               "is needed too: a certificate goes with its key");
  }
  return files;
}

// Nothing where it is outside of the range. `most` is at most a year.
std::optional<Nanos> durationWithin(const google::protobuf::Duration& given, Nanos least,
                                    Nanos most) {
  // Within this range the sum below cannot overflow.
  const bool sane = given.seconds() >= 0 && given.seconds() <= 31536000 && given.nanos() >= 0;
  if (!sane) return std::nullopt;
  const Nanos value = Nanos(std::chrono::seconds(given.seconds())) + Nanos(given.nanos());
  return value < least || value > most ? std::nullopt : std::optional(value);
}

Nanos takeKeepalive(const sockmesh::config::v1::Ads& proto, Nanos byDefault, FieldErrors& errors) {
  if (!proto.has_keepalive_interval()) return byDefault;
  const auto interval =
      durationWithin(proto.keepalive_interval(), kFastestKeepalive, kSlowestKeepalive);
  if (!interval) errors.add("keepalive_interval", "must be between 15s and 86400s");
  return interval.value_or(byDefault);
}

}  // namespace

AdsChannelOptions takeAds(const sockmesh::config::v1::Ads& proto,
                          const envoy::config::core::v3::Node& node, FieldErrors& errors) {
  const FieldErrors::Scope scope(errors, "ads");
  AdsChannelOptions options;
  options.target = proto.address();
  options.tls = takeTls(proto, errors);
  options.tokenPath = proto.token_path();
  if (!options.tokenPath.empty() && !options.tls) {
    errors.add("token_path", "needs ads.tls: a token in plaintext could be read on the way");
  }
  options.clusterId = proto.cluster_id();
  const auto& metadata = node.metadata().fields();
  const auto cluster = metadata.find("CLUSTER_ID");
  if (options.clusterId.empty() && !options.tokenPath.empty() && cluster != metadata.end()) {
    options.clusterId = cluster->second.string_value();
  }
  checkHeader("cluster_id", options.clusterId, errors);
  options.authority = proto.authority();
  checkHeader("authority", options.authority, errors);
  options.keepalive = takeKeepalive(proto, options.keepalive, errors);
  return options;
}

std::vector<std::string> takeFallbacks(const sockmesh::config::v1::Ads& proto,
                                       FieldErrors& errors) {
  const FieldErrors::Scope scope(errors, "ads");
  for (int i = 0; i < proto.fallback_addresses_size(); ++i) {
    const FieldErrors::Scope item(errors, "fallback_addresses", static_cast<std::size_t>(i));
    if (const auto parsed = parseHostPort(proto.fallback_addresses(i)); !parsed) {
      errors.add(parsed.error().message());
    }
  }
  return {proto.fallback_addresses().begin(), proto.fallback_addresses().end()};
}

std::optional<Nanos> takeStaleAfter(const sockmesh::config::v1::Ads& proto, FieldErrors& errors) {
  if (!proto.has_stale_after()) return std::nullopt;
  const FieldErrors::Scope scope(errors, "ads");
  const auto after = durationWithin(proto.stale_after(), kShortestStaleAfter, kLongestStaleAfter);
  if (!after) errors.add("stale_after", "must be between 1s and 31536000s");
  return after;
}

void checkAdsAddress(const std::string& address, FieldErrors& errors) {
  const FieldErrors::Scope scope(errors, "ads");
  if (address.empty()) {
    errors.add("address",
               "the control plane's HOST:PORT is needed (or --xds-address, or local_resources)");
  } else if (const auto parsed = parseHostPort(address); !parsed) {
    errors.add("address", parsed.error().message());
  }
}

}  // namespace sockmesh
