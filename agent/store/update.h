// SPDX-License-Identifier: Apache-2.0
// What one response says, whichever of the two protocols it came in.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "envoy/service/discovery/v3/discovery.pb.h"

namespace sockmesh {

// One resource as it lies in the response. Nothing is known of its payload yet.
struct Envelope {
  std::string position;              // "resources[3]"
  std::string name;                  // the wrapper's; "" without one
  std::string version;               // the wrapper's; "" without one
  std::string typeUrl;               // the payload's; "" for a heartbeat
  std::string bytes;                 // the payload's
  bool heartbeat = false;            // a wrapper without a payload: what is held stays
  bool unreadable = false;           // its wrapper does not parse
  std::optional<Nanos> ttl;          // the wrapper's; at least 0
  std::string badTtl;                // what is wrong with the ttl: "ttl: must not be negative"
  std::vector<std::string> aliases;  // the wrapper's: other names of the same resource
};

struct Update {
  std::string typeUrl;
  std::string version;
  std::string nonce;
  std::string controlPlane;  // its identifier; "" where it gives none
  std::size_t bytes = 0;     // of the response
  // State of the world: of a type that is subscribed to by wildcard, what is absent is removed.
  bool stateOfTheWorld = false;
  std::vector<Envelope> resources;   // in the order received
  std::vector<std::string> removed;  // by name; only where not stateOfTheWorld
};

// The payloads of `response` are moved and not copied.
Update updateOf(envoy::service::discovery::v3::DiscoveryResponse response);
// `version` is the system's, which says nothing of single resources.
Update updateOf(envoy::service::discovery::v3::DeltaDiscoveryResponse response);

}  // namespace sockmesh
