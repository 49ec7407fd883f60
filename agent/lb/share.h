// SPDX-License-Identifier: Apache-2.0
// The share of a VIP's connections that each endpoint gets, read from the compiled tables alone.
// For people, and for tests that compare the share with the configuration.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "lb/tables.h"

namespace sockmesh {

struct ServiceShares {
  // By cluster and endpoint; only endpoints that can be chosen. Together with the other two the
  // shares sum to 1, or to less if a table (read back from a damaged map) leads nowhere.
  std::map<std::pair<std::string, SocketAddress>, double> endpoints;
  double refused = 0;
  double leftAlone = 0;
};

// Each group's share of new connections, 0 to 1, with hashes spread evenly. A BY_HASH group itself
// has what it does not pass on, which is nothing except in damaged tables. Allows tables that did
// not pass checkTables().
std::vector<double> groupShares(const LbService& service);

// The shares of connections whose hashes are spread evenly. LEAST_REQUEST: as if all hosts were
// equally busy.
ServiceShares shareOf(const LbService& service);

// The endpoint that a connection with this hash gets in a service that chooses by hash alone (one
// leg, a hash policy); null if it is refused, left alone or chosen other than by hash. Only for
// compiled tables, which are trusted to lead somewhere.
const SocketAddress* pickByHash(const LbService& service, std::uint64_t hash);

// What a connection with a given hash meets in one leg.
struct HashChoice {
  double share = 0;       // of connections with this hash; all legs' sum up to 1
  std::size_t group = 0;  // index in the service's groups
  // In the hosts of that group. Null if the group refuses, leaves alone or chooses other than by
  // hash.
  const SocketAddress* endpoint = nullptr;
};

// A traffic split is drawn and not hashed, so there is one choice for each leg that connections
// reach. Tables that were read back from maps must have passed checkTables().
std::vector<HashChoice> choicesByHash(const LbService& service, std::uint64_t hash);

}  // namespace sockmesh
