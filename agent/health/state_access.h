// SPDX-License-Identifier: Apache-2.0
// The seam between the detector and the kernel's endpoint states (sm_endpoint_state). The programs
// eject by the consecutive detectors on their own, also while no agent runs. So the states are the
// truth, and the detector reads them. Endpoints are named by cluster and address. Control thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/breather.h"
#include "model/address.h"
#include "model/ejection.h"
#include "model/endpoint_state.h"

namespace sockmesh {

class EndpointStateAccess {
 public:
  virtual ~EndpointStateAccess() = default;

  // Nothing if the endpoint has no state (yet, or any more).
  virtual std::optional<EndpointState> read(const std::string& cluster,
                                            const SocketAddress& address) const = 0;
  // A detector fired for the outcomes of one client (an index into EndpointState::outcomes):
  // Envoy's common ejection step (limit, dice, length), in the kernel, for this client or for all.
  virtual Detection detect(const std::string& cluster, const SocketAddress& address,
                           std::size_t client, Detector detector,
                           std::uint32_t enforcingPercent) = 0;
  // Unejects the endpoint. False: it was not ejected.
  virtual bool uneject(const std::string& cluster, const SocketAddress& address) = 0;

  // Clusters have numbers: small ones, 0 for a cluster that is not known. A number may be given to
  // another cluster, but not before the detector is told that the first one is gone.
  virtual std::uint32_t clusterNumber(const std::string& cluster) const = 0;
  // The other way. Empty: nobody has the number.
  virtual std::string clusterOf(std::uint32_t number) const = 0;
  // Whether any endpoint of the cluster counts as ejected: one look, however many there are.
  virtual bool anyEjected(std::uint32_t number) const = 0;

  // The programs mark each endpoint, and its cluster, when a connect to it has ended. So what is
  // not marked has had no outcome since the mark was taken, except one that was under way then.
  // The clusters from number 64 * word on that are marked, a bit each.
  virtual std::uint64_t marked(std::uint32_t word) const = 0;
  // Whether the cluster or any endpoint of it is marked.
  virtual bool anyMarked(const std::string& cluster, Breather& breathe) const = 0;
  // Takes the marks of the cluster and its endpoints. Returns the endpoints that had one, in order.
  virtual std::vector<SocketAddress> takeMarked(const std::string& cluster, Breather& breathe) = 0;

  // Corrects the cluster's count of ejected endpoints if it differs from their states: at once, or
  // when the difference is certain.
  virtual void recount(const std::string& cluster, Breather& breathe) = 0;
  virtual void setMultiplier(const std::string& cluster, const SocketAddress& address,
                             std::uint32_t multiplier) = 0;
};

}  // namespace sockmesh
