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

// The key of an endpoint: the hash_key of its metadata if that is a non-empty string, or else its
// hostname if the configuration says so and there is one, or else ADDRESS:PORT.
std::string hashKey(const Endpoint& endpoint, bool useHostname);

// The hosts of the table, and their normalised weights in the same order: all hosts in panic, or
// else the healthy ones. With locality weights an endpoint has its share of its locality's share.
// Weights of localities without such hosts also count in the sum. Both lists are empty if all
// weights are 0.
struct HashHosts {
  HostList hosts;
  std::vector<HashHost> entries;
};
HashHosts hashHosts(const HostSet& set, bool panic, bool localityWeighted, bool useHostname);

}  // namespace sockmesh
