// SPDX-License-Identifier: Apache-2.0
// Maglev and ring hash tables of the reference model, and what share of all hashes each host has.
#pragma once

#include <map>
#include <utility>
#include <vector>

#include "unit/lb/reference_hosts.h"

namespace sockmesh::test {

// The hosts of one choice with their probabilities.
using Distribution = std::map<SocketAddress, double>;

// In table order, with normalised weights; at least one.
using TableHosts = std::vector<std::pair<ModelHost, double>>;

Distribution byMaglev(const LoadBalancing& lb, TableHosts hosts);
Distribution byRing(const LoadBalancing& lb, const TableHosts& hosts);

}  // namespace sockmesh::test
