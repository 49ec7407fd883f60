// SPDX-License-Identifier: Apache-2.0
// UDP services that the configuration names, because istiod does not send UDP ports: each takes the
// endpoints of a cluster that the control plane has sent. Configuration thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "model/address.h"
#include "model/snapshot.h"
#include "model/unknowns.h"

namespace sockmesh {

struct UdpService {
  SocketAddress vip;
  std::string cluster;                // whose endpoints are taken
  std::optional<std::uint16_t> port;  // of the endpoints; nothing: the port that they have
};

class UdpServices {
 public:
  explicit UdpServices(const std::vector<UdpService>& services);

  // `received`, and for each service a UDP listener, a cluster and an assignment of its own, so
  // that the service has its own counters and ejections. The cluster is named "CLUSTER/udp:PORT".
  // Of a cluster that the control plane does not have, a service is listed as left alone. What is
  // unknown of a cluster is unknown of its service, too: `unknowns` gets the name. What did not
  // change is the same object as in the answer before.
  std::shared_ptr<const Snapshot> addTo(std::shared_ptr<const Snapshot> received,
                                        Unknowns& unknowns);

 private:
  struct Kept {
    UdpService service;
    std::shared_ptr<const Listener> listener;
    std::string clusterName;
    std::shared_ptr<const Cluster> from;
    std::shared_ptr<const LoadAssignment> assignmentFrom;
    std::shared_ptr<const Cluster> cluster;            // null: not there
    std::shared_ptr<const LoadAssignment> assignment;  // null: not there
    bool listed = false;                               // its listener is in the last answer
  };

  static void update(Kept& kept, const Snapshot& received, Changes& changed);
  static void add(Kept& kept, bool unknown, Snapshot& out);

  std::vector<Kept> services_;
};

}  // namespace sockmesh
