// SPDX-License-Identifier: Apache-2.0
// The detector's access to the endpoint states that the kernel keeps. Control thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "datapath/datapath.h"
#include "datapath/grace_period.h"
#include "datapath/id_registry.h"
#include "health/state_access.h"

namespace sockmesh {

// Logs that a cluster's count of ejected endpoints was corrected by this number.
void logCorrected(const std::string& cluster, std::int32_t lost);

// Finds an endpoint by the id that the registry has for it.
class KernelStateAccess final : public EndpointStateAccess {
 public:
  // All outlive this.
  KernelStateAccess(Datapath& datapath, const IdRegistry& ids, GracePeriod& grace)
      : maps_(datapath.maps()), ejections_(datapath.ejections()), ids_(ids), grace_(grace) {}

  std::optional<EndpointState> read(const std::string& cluster,
                                    const SocketAddress& address) const override;
  Detection detect(const std::string& cluster, const SocketAddress& address, std::size_t client,
                   Detector detector, std::uint32_t enforcingPercent) override;
  bool uneject(const std::string& cluster, const SocketAddress& address) override;
  bool anyEjected(const std::string& cluster) const override;
  void recount(const std::string& cluster) override;
  void setMultiplier(const std::string& cluster, const SocketAddress& address,
                     std::uint32_t multiplier) override;

 private:
  KernelMaps& maps_;
  EjectionControl ejections_;
  const IdRegistry& ids_;
  GracePeriod& grace_;
  std::shared_ptr<int> alive_ = std::make_shared<int>();  // continuations hold it weakly
};

}  // namespace sockmesh
