// SPDX-License-Identifier: Apache-2.0
// Type URLs of the resources that are subscribed to or served, and their short names.
#pragma once

#include <string>
#include <string_view>

namespace sockmesh {

inline constexpr std::string_view kClusterType =
    "type.googleapis.com/envoy.config.cluster.v3.Cluster";
inline constexpr std::string_view kAssignmentType =
    "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment";
inline constexpr std::string_view kListenerType =
    "type.googleapis.com/envoy.config.listener.v3.Listener";
inline constexpr std::string_view kRouteType =
    "type.googleapis.com/envoy.config.route.v3.RouteConfiguration";

// istiod alone has it.
inline constexpr std::string_view kNameTableType =
    "type.googleapis.com/istio.networking.nds.v1.NameTable";

// istiod's workload API.
inline constexpr std::string_view kWorkloadType = "type.googleapis.com/istio.workload.Address";

// "CDS", "EDS", "LDS", "RDS", "NDS", "WDS"; the URL itself for any other.
std::string shortTypeName(std::string_view typeUrl);

}  // namespace sockmesh
