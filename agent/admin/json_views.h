// SPDX-License-Identifier: Apache-2.0
// What the admin server shows, as JSON. "schemaVersion" is raised when a field's meaning changes.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>

#include "admin/admin_state.h"
#include "model/drift.h"
#include "model/snapshot.h"

namespace sockmesh {

using AdminJson = nlohmann::ordered_json;

inline constexpr int kAdminSchemaVersion = 1;

AdminJson statusJson(const AdminState& state);
AdminJson readinessJson(const AdminState& state);
AdminJson versionJson();
// `snapshot` may be null: nothing has arrived.
AdminJson configDumpJson(const Snapshot* snapshot, const std::vector<LeftAlone>& conflicts);
// Which listener, filter chain, virtual host and route made each VIP, and what was left out. With
// `vip`, of that address alone.
AdminJson routesJson(const Snapshot* snapshot, const std::optional<SocketAddress>& vip);
// The workloads by address, and the host names of DNS clusters.
AdminJson namesJson(const Snapshot* snapshot, const DnsStats& dns);
AdminJson dnsHostsJson(const DnsStats& dns);
AdminJson clusterJson(const Cluster& cluster);
AdminJson leftAloneJson(const std::vector<LeftAlone>& all);
// Resources with fields that have no effect at connect(): how many, and which.
AdminJson notHonouredJson(const Snapshot& snapshot);
AdminJson unreachableJson(const Snapshot& snapshot);
// Services with a hash policy that needs a request, and the policy.
AdminJson layerSevenJson(const Snapshot& snapshot);

AdminJson verifyJson(const DriftReport& report);

// RFC 3339 in UTC with milliseconds; `time` is CLOCK_REALTIME.
std::string timeText(Nanos time);

// Text of any bytes. Bytes that are not UTF-8 are replaced, so that dumping never throws.
std::string dumpJson(const AdminJson& json);

}  // namespace sockmesh
