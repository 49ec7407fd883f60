// SPDX-License-Identifier: Apache-2.0
#include "ejection/kernel_state_access.h"

#include <cstdlib>

#include "base/log.h"
#include "maps/endpoint_state_reader.h"
#include "maps/unswept.h"
#include "writer/ejection_count.h"

namespace sockmesh {

void logCorrected(const std::string& cluster, std::int32_t lost) {
  logger("health")->warn("cluster {}: {} endpoints too {} were counted as ejected; corrected",
                         cluster, std::abs(lost), lost > 0 ? "many" : "few");
}

std::optional<EndpointState> KernelStateAccess::read(const std::string& cluster,
                                                     const SocketAddress& address) const {
  const std::uint32_t id = ids_.endpointId(cluster, address);
  if (id == 0) return std::nullopt;
  return readEndpointState(maps_, id);
}

Detection KernelStateAccess::detect(const std::string& cluster, const SocketAddress& address,
                                    std::size_t client, Detector detector,
                                    std::uint32_t enforcingPercent) {
  const std::uint32_t id = ids_.endpointId(cluster, address);
  if (id == 0) return Detection::kNone;
  const std::uint32_t place = clientOfOutcomes(maps_, id, client);
  if (place == SM_CLIENT_NONE) return Detection::kNone;
  const auto detection = ejections_.detect(id, detector, enforcingPercent, place);
  if (!detection) logger("health")->error("{}", detection.error().message());
  return detection ? *detection : Detection::kNone;
}

bool KernelStateAccess::uneject(const std::string& cluster, const SocketAddress& address) {
  const std::uint32_t id = ids_.endpointId(cluster, address);
  if (id == 0) return false;
  const auto returned = ejections_.uneject(id);
  if (!returned) logger("health")->error("{}", returned.error().message());
  return returned && *returned;
}

std::uint32_t KernelStateAccess::clusterNumber(const std::string& cluster) const {
  return ids_.clusterId(cluster);
}

std::string KernelStateAccess::clusterOf(std::uint32_t number) const {
  const IdRegistry::Cluster* cluster = ids_.findCluster(number);
  return cluster == nullptr ? std::string() : *cluster->name;
}

bool KernelStateAccess::anyEjected(std::uint32_t number) const {
  return countsEjected(maps_, number);
}

std::uint64_t KernelStateAccess::marked(std::uint32_t word) const {
  return unsweptWord(maps_, word);
}

bool KernelStateAccess::anyMarked(const std::string& cluster, Breather& breathe) const {
  if (isClusterUnswept(maps_, ids_.clusterId(cluster))) return true;
  for (const std::uint32_t id : ids_.endpointsOf(cluster, breathe)) {
    if (isEndpointUnswept(maps_, id)) return true;
    breathe();
  }
  return false;
}

std::vector<SocketAddress> KernelStateAccess::takeMarked(const std::string& cluster,
                                                         Breather& breathe) {
  clearCluster(maps_, ids_.clusterId(cluster));
  std::vector<SocketAddress> taken;
  for (const std::uint32_t id : ids_.endpointsOf(cluster, breathe)) {
    // Others may have taken the id away while this paused.
    const IdRegistry::Endpoint* endpoint = ids_.findEndpoint(id);
    if (endpoint != nullptr && *endpoint->cluster->name == cluster && takeEndpoint(maps_, id)) {
      taken.push_back(endpoint->addresses.address);
    }
    breathe();
  }
  return taken;
}

void KernelStateAccess::recount(const std::string& cluster, Breather& breathe) {
  if (doubts_.contains(cluster)) return;
  const std::uint32_t id = ids_.clusterId(cluster);
  const std::int32_t surplus =
      ejectionSurplus(maps_, id, ids_.endpointsOf(cluster, breathe), breathe);
  if (surplus == 0) return;
  doubts_[cluster] = {id, surplus};
  // A program may be between the state and the count. After a grace period it is not.
  grace_.after([this, alive = std::weak_ptr<int>(alive_), cluster] {
    if (!alive.expired() && onDoubt_) onDoubt_(cluster);
  });
}

void KernelStateAccess::correct(const std::string& cluster, Breather& breathe) {
  const auto doubt = doubts_.extract(cluster);
  if (doubt.empty() || ids_.clusterId(cluster) != doubt.mapped().clusterId) return;
  const auto lost =
      correctEjections(maps_, doubt.mapped().clusterId, ids_.endpointsOf(cluster, breathe),
                       doubt.mapped().surplus, breathe);
  if (lost != 0) logCorrected(cluster, lost);
}

void KernelStateAccess::setMultiplier(const std::string& cluster, const SocketAddress& address,
                                      std::uint32_t multiplier) {
  const std::uint32_t id = ids_.endpointId(cluster, address);
  if (id != 0) writeMultiplier(maps_, id, multiplier);
}

}  // namespace sockmesh
