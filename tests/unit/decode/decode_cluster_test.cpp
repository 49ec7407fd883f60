// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "decode/decode.h"
#include "unit/decode/text_proto.h"

namespace sockmesh {
namespace {

using Proto = envoy::config::cluster::v3::Cluster;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const std::string kEds = "name: 'c' type: EDS eds_cluster_config { eds_config { ads {} } } ";
const std::string kEndpoint =
    "lb_endpoints { endpoint { address { socket_address { address: '10.0.0.1' port_value: 80 } } } "
    "}";
const std::string kSockets = "type.googleapis.com/envoy.extensions.transport_sockets.";
const std::string kRaw = "transport_socket { name: 'raw' typed_config { [" + kSockets +
                         "raw_buffer.v3.RawBuffer] {} } }";
const std::string kTls = "transport_socket { name: 'tls' typed_config { type_url: '" + kSockets +
                         "tls.v3.UpstreamTlsContext' } }";

std::string internalUpstream(const std::string& inner) {
  return "transport_socket { name: 'internal' typed_config { [" + kSockets +
         "internal_upstream.v3.InternalUpstreamTransport] { " + inner + " } } }";
}

Result<std::shared_ptr<const Cluster>> decode(const std::string& text) {
  return decodeCluster(parseText<Proto>(text));
}

Cluster decoded(const std::string& text) {
  const auto result = decode(text);
  EXPECT_TRUE(result.ok()) << errorOf(result);
  return result.ok() ? **result : Cluster{};
}

TEST(DecodeCluster, FillsInEnvoysDefaults) {
  const Cluster cluster = decoded(kEds);
  EXPECT_EQ(cluster.name, "c");
  EXPECT_EQ(cluster.type, DiscoveryType::kEds);
  EXPECT_EQ(cluster.edsName, "c");
  EXPECT_EQ(cluster.connectTimeout, std::chrono::seconds(5));
  EXPECT_EQ(cluster.edsInitialFetchTimeout, std::chrono::seconds(15));
  EXPECT_EQ(cluster.leaveAlone, LeftAloneReason::kNone);
  EXPECT_FALSE(cluster.automaticTls);
  EXPECT_FALSE(cluster.outlierDetection.has_value());
  EXPECT_FALSE(cluster.keepalive.has_value());
  EXPECT_EQ(cluster.circuitBreakers.maxConnections, 1024U);
  EXPECT_FALSE(cluster.circuitBreakers.perHostMaxConnections.has_value());
  EXPECT_EQ(cluster.lb.policy, LbPolicy::kRoundRobin);
  EXPECT_EQ(cluster.lb.healthyPanicThresholdPercent, 50);
  EXPECT_EQ(cluster.lb.localityMode, LocalityMode::kFlat);
  EXPECT_THAT(cluster.notHonoured, IsEmpty());
}

TEST(DecodeCluster, TellsTheEdsNameAndHowLongToWait) {
  const Cluster cluster = decoded(
      "name: 'c' type: EDS eds_cluster_config { service_name: 's' eds_config { ads {}"
      " initial_fetch_timeout {} } } connect_timeout { nanos: 250000000 }");
  EXPECT_EQ(cluster.edsName, "s");
  EXPECT_EQ(cluster.edsInitialFetchTimeout, Nanos(0));
  EXPECT_EQ(cluster.connectTimeout, std::chrono::milliseconds(250));
}

TEST(DecodeCluster, ADurationBeyondAllClocksIsACentury) {
  EXPECT_EQ(decoded(kEds + "connect_timeout { seconds: 315576000000 }").connectTimeout,
            std::chrono::hours(100 * 365 * 24));
}

TEST(DecodeCluster, AStaticClusterBringsItsEndpoints) {
  const Cluster cluster =
      decoded("name: 'c' load_assignment { cluster_name: 'c' endpoints { " + kEndpoint + " } }");
  EXPECT_EQ(cluster.type, DiscoveryType::kStatic);
  EXPECT_EQ(cluster.leaveAlone, LeftAloneReason::kNone);
  ASSERT_NE(cluster.inlineAssignment, nullptr);
  EXPECT_EQ(cluster.inlineAssignment->localities[0].endpoints[0].address.toString(), "10.0.0.1:80");
}

TEST(DecodeCluster, AStaticClusterWithoutEndpointsIsABlackHole) {
  EXPECT_EQ(decoded("name: 'BlackHoleCluster' type: STATIC").leaveAlone,
            LeftAloneReason::kBlackHole);
  EXPECT_EQ(decoded("name: 'c' type: STATIC load_assignment { cluster_name: 'c' endpoints {} }")
                .leaveAlone,
            LeftAloneReason::kBlackHole);
}

TEST(DecodeCluster, LeavesOtherDiscoveryAlone) {
  EXPECT_EQ(decoded("name: 'c' type: ORIGINAL_DST lb_policy: CLUSTER_PROVIDED").leaveAlone,
            LeftAloneReason::kOriginalDst);
  EXPECT_EQ(decoded("name: 'c' cluster_type { name: 'envoy.clusters.redis' typed_config {"
                    " type_url: 'type.googleapis.com/never.heard.Of' value: 'x' } }")
                .leaveAlone,
            LeftAloneReason::kUnsupportedDiscovery);
}

TEST(DecodeCluster, NeverRewritesToPlaintextWhatAsksForTls) {
  EXPECT_EQ(decoded(kEds + kTls).leaveAlone, LeftAloneReason::kTls);
  EXPECT_EQ(decoded(kEds + internalUpstream(kTls)).leaveAlone, LeftAloneReason::kTls);
  EXPECT_EQ(decoded(kEds + "transport_socket { name: 'x' typed_config { type_url:"
                           " 'type.googleapis.com/never.heard.Of' } }")
                .leaveAlone,
            LeftAloneReason::kTls);
  EXPECT_EQ(decoded(kEds + kRaw).leaveAlone, LeftAloneReason::kNone);
  EXPECT_EQ(decoded(kEds + internalUpstream(kRaw)).leaveAlone, LeftAloneReason::kNone);
}

std::string socketMatch(const std::string& label, const std::string& socket) {
  const std::string fields =
      label.empty() ? "" : "fields { key: '" + label + "' value { string_value: 'x' } }";
  return "transport_socket_matches { name: 'm' match { " + fields + " } " + socket + " } ";
}

TEST(DecodeCluster, ListsTlsThatSomeEndpointsWouldGet) {
  const Cluster cluster = decoded(kEds + socketMatch("tunnel", internalUpstream(kRaw)) +
                                  socketMatch("tlsMode", kTls) + socketMatch("", kRaw));
  EXPECT_TRUE(cluster.automaticTls);
  EXPECT_EQ(cluster.leaveAlone, LeftAloneReason::kNone);
  EXPECT_FALSE(decoded(kEds + socketMatch("tunnel", internalUpstream(kRaw)) + socketMatch("", kRaw))
                   .automaticTls);
}

TEST(DecodeCluster, AMatchForEveryEndpointIsTheClustersSocket) {
  // Matches behind it are never reached.
  const Cluster plain =
      decoded(kEds + socketMatch("", kRaw) + socketMatch("a", kTls) + socketMatch("", kTls));
  EXPECT_EQ(plain.leaveAlone, LeftAloneReason::kNone);
  EXPECT_FALSE(plain.automaticTls);
  // istio's explicit TLS beside a tunnel: TLS for all that is not tunnelled.
  EXPECT_EQ(decoded(kEds + socketMatch("tunnel", internalUpstream(kRaw)) + socketMatch("", kTls))
                .leaveAlone,
            LeftAloneReason::kTls);
  EXPECT_EQ(decoded(kEds + kTls + socketMatch("a", kRaw)).leaveAlone, LeftAloneReason::kTls);
}

TEST(DecodeCluster, ReadsCircuitBreakersOfTheDefaultPriority) {
  const Cluster cluster = decoded(
      kEds +
      "circuit_breakers { thresholds { priority: HIGH max_connections { value: 1 } } thresholds {"
      " max_connections { value: 2 } max_pending_requests {} } thresholds { max_connections {"
      " value: 3 } } per_host_thresholds { max_connections { value: 4 } } }");
  EXPECT_EQ(cluster.circuitBreakers.maxConnections, 2U);
  EXPECT_EQ(cluster.circuitBreakers.maxPendingRequests, 0U);
  EXPECT_EQ(cluster.circuitBreakers.perHostMaxConnections, 4U);
}

TEST(DecodeCluster, KeepsWhatKeepaliveLeavesToTheSystemApart) {
  const Cluster cluster = decoded(
      kEds + "upstream_connection_options { tcp_keepalive { keepalive_time { value: 60 } } }");
  ASSERT_TRUE(cluster.keepalive.has_value());
  EXPECT_EQ(cluster.keepalive->timeSeconds, 60U);
  EXPECT_FALSE(cluster.keepalive->probes.has_value());
}

TEST(DecodeCluster, AnEmptyOutlierDetectionIsOnWithEnvoysDefaults) {
  const Cluster cluster = decoded(kEds + "outlier_detection {}");
  ASSERT_TRUE(cluster.outlierDetection.has_value());
  const OutlierDetection& outlier = *cluster.outlierDetection;
  EXPECT_EQ(outlier.consecutive5xx, 5U);
  EXPECT_EQ(outlier.interval, std::chrono::seconds(10));
  EXPECT_EQ(outlier.baseEjectionTime, std::chrono::seconds(30));
  EXPECT_EQ(outlier.maxEjectionTime, std::chrono::seconds(300));
  EXPECT_EQ(outlier.maxEjectionPercent, 10U);
  EXPECT_EQ(outlier.enforcingConsecutive5xx, 100U);
  EXPECT_EQ(outlier.enforcingConsecutiveGatewayFailure, 0U);
  EXPECT_EQ(outlier.successRateStdevFactor, 1900U);
  EXPECT_EQ(outlier.enforcingFailurePercentage, 0U);
  EXPECT_TRUE(outlier.successfulActiveHealthCheckUnejectHost);
  EXPECT_FALSE(outlier.alwaysEjectOneHost);
}

TEST(DecodeCluster, APresentZeroIsZeroAndNotTheDefault) {
  const Cluster cluster = decoded(kEds +
                                  "outlier_detection { consecutive_5xx {} enforcing_success_rate {}"
                                  " successful_active_health_check_uneject_host {} }");
  EXPECT_EQ(cluster.outlierDetection->consecutive5xx, 0U);
  EXPECT_EQ(cluster.outlierDetection->enforcingSuccessRate, 0U);
  EXPECT_FALSE(cluster.outlierDetection->successfulActiveHealthCheckUnejectHost);
}

TEST(DecodeCluster, TheLongestEjectionIsNeverShorterThanTheBase) {
  EXPECT_EQ(decoded(kEds + "outlier_detection { base_ejection_time { seconds: 400 } }")
                .outlierDetection->maxEjectionTime,
            std::chrono::seconds(400));
}

TEST(DecodeCluster, ListsWhatAConnectCannotHonour) {
  const Cluster cluster = decoded(
      kEds +
      "health_checks { timeout { seconds: 1 } interval { seconds: 1 } unhealthy_threshold {"
      " value: 3 } healthy_threshold { value: 1 } tcp_health_check {} } upstream_bind_config"
      " {}");
  EXPECT_THAT(cluster.notHonoured,
              ElementsAre(HasSubstr("health_checks"), HasSubstr("upstream_bind_config")));
}

TEST(DecodeCluster, PassesOverConfigurationOfTypesItDoesNotKnow) {
  EXPECT_TRUE(decode(kEds + "filters { name: 'f' typed_config { type_url: 'a/b.C' value: 'zz' } }"
                            " typed_extension_protocol_options { key: 'k' value { type_url: 'a/b.C'"
                            " value: 'zz' } }")
                  .ok());
}

TEST(DecodeCluster, CollectsEveryErrorWithItsPath) {
  const auto result = decode(
      "type: STATIC connect_timeout {} lb_policy: MAGLEV maglev_lb_config { table_size {"
      " value: 65536 } } outlier_detection { interval {} max_ejection_percent { value: 101 }"
      " } load_assignment { cluster_name: 'c' endpoints { lb_endpoints { endpoint { address"
      " { socket_address { address: 'a.example' port_value: 80 } } } } } }");
  EXPECT_EQ(errorOf(result),
            "name: must not be empty; "
            "maglev_lb_config.table_size: 65536 is not a prime number; "
            "load_assignment.endpoints[0].lb_endpoints[0].endpoint.address.socket_address.address: "
            "'a.example' is not an IP address; "
            "connect_timeout: must be more than 0s; "
            "outlier_detection.interval: must be more than 0s; "
            "outlier_detection.max_ejection_percent: 101 is more than 100");
}

class RejectsCluster : public testing::TestWithParam<Case> {};

TEST_P(RejectsCluster, NamingTheField) {
  const auto result = decode(GetParam().text);
  ASSERT_FALSE(result.ok());
  EXPECT_THAT(errorOf(result), HasSubstr(GetParam().expected));
}

INSTANTIATE_TEST_SUITE_P(
    DecodeCluster, RejectsCluster,
    testing::Values(
        Case{"EdsWithoutConfig", "name: 'c' type: EDS", "eds_cluster_config: is required"},
        Case{"EdsWithoutSource", "name: 'c' type: EDS eds_cluster_config {}",
             "eds_cluster_config.eds_config: needs a source"},
        Case{"EdsFromARelativePath",
             "name: 'c' type: EDS eds_cluster_config { eds_config { path: 'x' } }",
             "eds_cluster_config.eds_config.path: \"x\" is no absolute path"},
        Case{"EdsConfigElsewhere", "name: 'c' eds_cluster_config { eds_config { ads {} } }",
             "eds_cluster_config: is only for an EDS cluster"},
        Case{"OriginalDstPolicy", "name: 'c' type: ORIGINAL_DST",
             "lb_policy: an ORIGINAL_DST cluster needs CLUSTER_PROVIDED"},
        Case{"OriginalDstEndpoints",
             "name: 'c' type: ORIGINAL_DST lb_policy: CLUSTER_PROVIDED load_assignment {}",
             "load_assignment: is not allowed"},
        Case{"ClusterProvidedElsewhere", kEds + "lb_policy: CLUSTER_PROVIDED",
             "lb_policy: CLUSTER_PROVIDED is only for an ORIGINAL_DST cluster"},
        Case{"LogicalDnsEndpoints",
             "name: 'c' type: LOGICAL_DNS load_assignment { cluster_name: 'c' }",
             "load_assignment.endpoints: logical DNS needs exactly one"},
        Case{"CustomTypeWithoutName", "name: 'c' cluster_type {}",
             "cluster_type.name: must not be empty"},
        Case{"NegativeTimeout", kEds + "connect_timeout { seconds: -1 }",
             "connect_timeout: must not be negative"},
        Case{"InvalidTimeout", kEds + "connect_timeout { nanos: 1000000000 }",
             "connect_timeout: is not a valid duration"},
        Case{"MaxEjectionTime", kEds + "outlier_detection { max_ejection_time { seconds: 29 } }",
             "outlier_detection.max_ejection_time: is less than base_ejection_time"},
        Case{"SocketMatchName", kEds + "transport_socket_matches {}",
             "transport_socket_matches[0].name: must not be empty"},
        Case{"HealthCheck", kEds + "health_checks { timeout { seconds: 1 } }",
             "health_checks[0].interval: is required"},
        Case{"HealthChecksWithoutNames", kEds + "health_checks { name: 'a' } health_checks {}",
             "health_checks[1].name: must not be empty"}),
    [](const auto& param) { return param.param.what; });

TEST(DecodeCluster, RejectsNumbersThatAreNoValueOfAnEnum) {
  auto proto = parseText<Proto>("name: 'c'");
  proto.set_type(static_cast<Proto::DiscoveryType>(9));
  proto.set_lb_policy(static_cast<Proto::LbPolicy>(4));
  EXPECT_EQ(errorOf(decodeCluster(proto)),
            "lb_policy: 4 is none of its values; type: 9 is none of its values");
}

}  // namespace
}  // namespace sockmesh
