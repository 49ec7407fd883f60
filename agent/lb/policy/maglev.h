// SPDX-License-Identifier: Apache-2.0
// MAGLEV: the connection's hash is the index into Envoy's Maglev table, entry for entry.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "lb/hash_hosts.h"
#include "lb/policy/configured_policy.h"

namespace sockmesh {

const ConfiguredPolicy& maglevPolicy();

// Host indices by slot. `tableSize` is a prime; at least one host.
std::vector<std::uint32_t> maglevTable(std::span<const HashHost> hosts, std::uint64_t tableSize);

}  // namespace sockmesh
