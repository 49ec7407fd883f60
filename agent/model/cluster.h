// SPDX-License-Identifier: Apache-2.0
// A Cluster as the control plane configured it (envoy.config.cluster.v3.Cluster), decoded, with
// Envoy's defaults filled in. Immutable once it is in a Snapshot.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "base/name.h"
#include "base/rare.h"
#include "model/assignment.h"
#include "model/dns.h"
#include "model/lb_policy.h"
#include "model/metadata.h"

namespace sockmesh {

enum class HashFunction : std::uint8_t { kXxHash, kMurmurHash2 };

struct SlowStart {
  Nanos window{0};  // 0: off
  double aggression = 1.0;
  double minWeightPercent = 10.0;
};

struct ZoneAware {
  double routingEnabledPercent = 100.0;
  std::uint64_t minClusterSize = 6;
  bool failTrafficOnPanic = false;
  bool forceLocalityDirectRouting = false;
  std::optional<std::uint32_t> forceLocalZoneMinSize;  // absent: force_local_zone not set
  bool basisIsWeight = false;                          // locality_basis HEALTHY_HOSTS_WEIGHT
};

enum class LocalityMode : std::uint8_t { kFlat, kLocalityWeighted, kZoneAware };

// A property of a request that a hash policy names and that a connect() cannot know (header,
// cookie, ...).
struct LayerSevenHash {
  std::string what;  // "header x-user"
};

struct SubsetSelector {
  enum class Fallback : std::uint8_t {
    kNotDefined,
    kNoFallback,
    kAnyEndpoint,
    kDefaultSubset,
    kKeysSubset
  };
  std::vector<std::string> keys;  // sorted, unique
  Fallback fallback = Fallback::kNotDefined;
  std::vector<std::string> fallbackKeys;  // sorted, unique
};

struct SubsetConfig {
  enum class Fallback : std::uint8_t { kNoFallback, kAnyEndpoint, kDefaultSubset };
  Fallback fallback = Fallback::kNoFallback;
  MetadataStruct defaultSubset;
  std::vector<SubsetSelector> selectors;
  bool localityWeightAware = false;
  bool scaleLocalityWeight = false;
  bool panicModeAny = false;
  bool listAsAny = false;
  bool allowRedundantKeys = false;
};

// How a host is chosen: legacy `lb_policy` and typed `load_balancing_policy` decode to the same.
struct LoadBalancing {
  LbPolicy policy = LbPolicy::kRoundRobin;
  LocalityMode localityMode = LocalityMode::kFlat;
  ZoneAware zoneAware;  // meaningful with kZoneAware
  SlowStart slowStart;  // ROUND_ROBIN and LEAST_REQUEST

  std::uint32_t choiceCount = 2;   // LEAST_REQUEST
  double activeRequestBias = 1.0;  // LEAST_REQUEST
  bool fullScan = false;           // LEAST_REQUEST

  std::uint64_t minimumRingSize = 1024;  // RING_HASH
  std::uint64_t maximumRingSize = 8388608;
  HashFunction hashFunction = HashFunction::kXxHash;

  std::uint64_t maglevTableSize = 65537;  // MAGLEV

  bool useHostnameForHashing = false;   // RING_HASH and MAGLEV
  std::uint32_t hashBalanceFactor = 0;  // percent; 0: bounded load is off
  // The typed policy's own hash_policy list. It overrides the listener's list.
  bool hashPolicyGiven = false;
  bool hashSourceIp = false;
  std::vector<LayerSevenHash> hashNeedsLayerSeven;

  double healthyPanicThresholdPercent = 50.0;  // compare truncated to an integer; 0: off
  bool ignoreNewHostsUntilFirstHc = false;
  RareOptional<SubsetConfig> subset;
  // Like Cluster::notHonoured.
  std::vector<std::string> notHonoured;
};

// envoy.config.cluster.v3.OutlierDetection with its defaults; see envoy's outlier detection docs.
struct OutlierDetection {
  std::uint32_t consecutive5xx = 5;
  Nanos interval = std::chrono::seconds(10);
  Nanos baseEjectionTime = std::chrono::seconds(30);
  Nanos maxEjectionTime = std::chrono::seconds(300);  // max(300 s, base) when not given
  Nanos maxEjectionTimeJitter{0};
  std::uint32_t maxEjectionPercent = 10;
  bool alwaysEjectOneHost = false;
  std::uint32_t enforcingConsecutive5xx = 100;
  std::uint32_t enforcingSuccessRate = 100;
  std::uint32_t successRateMinimumHosts = 5;
  std::uint32_t successRateRequestVolume = 100;
  std::uint32_t successRateStdevFactor = 1900;  // thousandths
  std::uint32_t consecutiveGatewayFailure = 5;
  std::uint32_t enforcingConsecutiveGatewayFailure = 0;
  bool splitExternalLocalOriginErrors = false;
  std::uint32_t consecutiveLocalOriginFailure = 5;
  std::uint32_t enforcingConsecutiveLocalOriginFailure = 100;
  std::uint32_t enforcingLocalOriginSuccessRate = 100;
  std::uint32_t failurePercentageThreshold = 85;
  std::uint32_t enforcingFailurePercentage = 0;
  std::uint32_t enforcingFailurePercentageLocalOrigin = 0;
  std::uint32_t failurePercentageMinimumHosts = 5;
  std::uint32_t failurePercentageRequestVolume = 50;
  bool successfulActiveHealthCheckUnejectHost = true;
};

// circuit_breakers.thresholds, priority DEFAULT.
struct CircuitBreakers {
  std::uint32_t maxConnections = 1024;
  std::uint32_t maxPendingRequests = 1024;
  std::optional<std::uint32_t> perHostMaxConnections;
};

struct TcpKeepalive {
  std::optional<std::uint32_t> probes;
  std::optional<std::uint32_t> timeSeconds;
  std::optional<std::uint32_t> intervalSeconds;
};

enum class DiscoveryType : std::uint8_t { kStatic, kStrictDns, kLogicalDns, kEds, kOriginalDst };

// Why a cluster's connections are left alone (not rewritten) although a VIP leads to it.
enum class LeftAloneReason : std::uint8_t {
  kNone,
  kTls,          // transport_socket asks for TLS, which a connect() cannot originate
  kOriginalDst,  // ORIGINAL_DST / CLUSTER_PROVIDED: the destination is the endpoint
  kBlackHole,    // a STATIC cluster without endpoints that stands for "deny" (istio's BlackHole)
  kUnsupportedDiscovery,  // a custom cluster_type we do not know
};

// The word for people: "Tls". "" for kNone.
constexpr std::string_view leftAloneName(LeftAloneReason reason) {
  switch (reason) {
    case LeftAloneReason::kNone:
      return "";
    case LeftAloneReason::kTls:
      return "Tls";
    case LeftAloneReason::kOriginalDst:
      return "OriginalDst";
    case LeftAloneReason::kBlackHole:
      return "BlackHole";
    case LeftAloneReason::kUnsupportedDiscovery:
      return "Unsupported";
  }
  return "unknown";
}

struct Cluster {
  Name name;
  DiscoveryType type = DiscoveryType::kEds;
  // Of its endpoints: eds service_name, or the cluster's name. A DNS cluster has a name that no
  // assignment of a control plane has. Empty for other types.
  Name edsName;
  Nanos connectTimeout = std::chrono::seconds(5);
  Nanos edsInitialFetchTimeout = std::chrono::seconds(15);  // 0: wait for ever
  LoadBalancing lb;
  std::optional<OutlierDetection> outlierDetection;
  CircuitBreakers circuitBreakers;
  RareOptional<TcpKeepalive> keepalive;
  bool closeConnectionsOnHostHealthFailure = false;
  LeftAloneReason leaveAlone = LeftAloneReason::kNone;
  // transport_socket_matches would use TLS to some endpoints (istio's automatic mTLS). The cluster
  // is rewritten to plaintext and listed.
  bool automaticTls = false;
  // Valid fields that have no effect at connect() time, each "field: why"; listed for people.
  std::vector<std::string> notHonoured;
  std::shared_ptr<const DnsDiscovery> dns;  // of a DNS cluster; null otherwise
  // The inline load_assignment of kStatic; null otherwise.
  std::shared_ptr<const LoadAssignment> inlineAssignment;
  // Hash of the resource's bytes: equal means "nothing changed, keep the detector's state".
  std::uint64_t contentHash = 0;
};

}  // namespace sockmesh
