// SPDX-License-Identifier: Apache-2.0
// The hosts of a hash policy, as Envoy's tables see them.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "lb/host_set.h"

namespace sockmesh {

// A host as the tables see it.
struct HashHost {
  std::string key;    // what is hashed: the hash_key metadata, the hostname or the address
  double weight = 0;  // normalised, > 0
};

// The key of an endpoint: its metadata's hash_key if that is a non-empty string, else its hostname
// where that is asked for and given, else ADDRESS:PORT.
std::string hashKey(const Endpoint& endpoint, bool useHostname);

// The hosts that take part, and their normalised weights in the same order: all of them in panic,
// else the healthy ones. With locality weights (of which those of localities without such hosts
// count in the sum, too) an endpoint has its share of its locality's share. Both are empty where
// all weights are 0.
struct HashHosts {
  HostList hosts;
  std::vector<HashHost> entries;
};
HashHosts hashHosts(const HostSet& set, bool panic, bool localityWeighted, bool useHostname);

}  // namespace sockmesh
