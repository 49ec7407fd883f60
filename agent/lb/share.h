// What share of a VIP's connections each endpoint gets, read from the compiled tables alone: for
// people, and for tests that compare it with what the control plane asked for.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "lb/tables.h"

namespace sockmesh {

struct ServiceShares {
  // By cluster and endpoint; only what can be chosen. With the other two they sum to 1, or to less
  // where a table (read back from a damaged map) leads nowhere.
  std::map<std::pair<std::string, SocketAddress>, double> endpoints;
  double refused = 0;
  double leftAlone = 0;
};

// Each group's share of new connections, 0 to 1, with hashes spread evenly. A BY_HASH group itself
// has what it does not pass on, which is nothing except in damaged tables. Allows tables that did
// not pass checkTables().
std::vector<double> groupShares(const LbService& service);

// Of connections whose hashes are spread evenly. LEAST_REQUEST: as if all hosts were equally busy.
ServiceShares shareOf(const LbService& service);

// The endpoint that a connection with this hash gets in a service that chooses by hash alone (one
// leg, a hash policy); null where it is refused, left alone or other than by hash. Of
// compiled tables only: they are trusted to lead somewhere.
const SocketAddress* pickByHash(const LbService& service, std::uint64_t hash);

// One leg of what a connection with a given hash may meet.
struct HashChoice {
  double share = 0;       // of connections with this hash; all legs' sum up to 1
  std::size_t group = 0;  // index in the service's groups
  // In that group's hosts; null where it refuses, leaves alone or chooses other than by hash.
  const SocketAddress* endpoint = nullptr;
};

// A traffic split is drawn, not hashed: as many choices as it has legs that connections reach.
// Tables may have been read back from maps, and must have passed checkTables() then.
std::vector<HashChoice> choicesByHash(const LbService& service, std::uint64_t hash);

}  // namespace sockmesh
