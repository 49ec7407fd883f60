// SPDX-License-Identifier: Apache-2.0
// Converts between the model's values and the ABI's structs. Byte order and layout are in this one
// place.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lb/tables.h"
#include "model/address.h"
#include "sockmesh_abi.h"

namespace sockmesh {

void encodeAddress(const IpAddress& ip, __be32 (&out)[4]);
IpAddress decodeAddress(const __be32 (&address)[4]);
__be16 encodePort(std::uint16_t port);
std::uint16_t decodePort(__be16 port);

sm_frontend4_key encodeFrontend4(const VipKey& key);  // key.vip.ip.isV4()
sm_frontend6_key encodeFrontend6(const VipKey& key);
sm_range_key encodeRange(const VipKey& key);  // key.vip.isRange()
VipKey decodeFrontend(const sm_frontend4_key& key);
VipKey decodeFrontend(const sm_frontend6_key& key);
VipKey decodeRange(const sm_range_key& key);

sm_consecutive_rule encodeConsecutiveRule(const ConsecutiveRule& rule);
EjectionRules decodeEjectionRules(const sm_cluster_state& state);

// Endpoint ids as host vector cells, four words a cell, padded with SM_NONE.
std::vector<sm_cell> encodeHosts(const std::vector<std::uint32_t>& ids);

// `name` in parts, as the names map keeps it; at least one part.
std::vector<sm_name> encodeName(const std::string& name);

}  // namespace sockmesh
