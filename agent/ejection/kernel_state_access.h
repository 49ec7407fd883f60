// SPDX-License-Identifier: Apache-2.0
// The detector's access to the endpoint states that the kernel keeps. Control thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "datapath/datapath.h"
#include "health/state_access.h"
#include "writer/grace_period.h"
#include "writer/id_registry.h"

namespace sockmesh {

// Logs that a cluster's count of ejected endpoints was corrected by this number.
void logCorrected(const std::string& cluster, std::int32_t lost);

// Finds an endpoint by the id that the registry has for it. A cluster's number is its id.
class KernelStateAccess final : public EndpointStateAccess {
 public:
  // All outlive this.
  KernelStateAccess(Datapath& datapath, const IdRegistry& ids, GracePeriod& grace)
      : maps_(datapath.maps()), ejections_(datapath.ejections()), ids_(ids), grace_(grace) {}

  // Called a grace period after recount() has found a difference; correct() is to follow.
  void onDoubt(std::function<void(const std::string& cluster)> call) { onDoubt_ = std::move(call); }
  // The second look at a count that recount() doubted: corrects what both looks found.
  void correct(const std::string& cluster, Breather& breathe);

  std::optional<EndpointState> read(const std::string& cluster,
                                    const SocketAddress& address) const override;
  Detection detect(const std::string& cluster, const SocketAddress& address, std::size_t client,
                   Detector detector, std::uint32_t enforcingPercent) override;
  bool uneject(const std::string& cluster, const SocketAddress& address) override;
  std::uint32_t clusterNumber(const std::string& cluster) const override;
  std::string clusterOf(std::uint32_t number) const override;
  bool anyEjected(std::uint32_t number) const override;
  std::uint64_t marked(std::uint32_t word) const override;
  bool anyMarked(const std::string& cluster, Breather& breathe) const override;
  std::vector<SocketAddress> takeMarked(const std::string& cluster, Breather& breathe) override;
  void recount(const std::string& cluster, Breather& breathe) override;
  void setMultiplier(const std::string& cluster, const SocketAddress& address,
                     std::uint32_t multiplier) override;

 private:
  KernelMaps& maps_;
  EjectionControl ejections_;
  const IdRegistry& ids_;
  GracePeriod& grace_;
  struct Doubt {
    std::uint32_t clusterId = 0;
    std::int32_t surplus = 0;
  };
  std::map<std::string, Doubt> doubts_;  // between the two looks
  std::function<void(const std::string& cluster)> onDoubt_;
  std::shared_ptr<int> alive_ = std::make_shared<int>();  // continuations hold it weakly
};

}  // namespace sockmesh
