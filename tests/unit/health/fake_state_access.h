// SPDX-License-Identifier: Apache-2.0
// The kernel's half without a kernel: real lines in memory, written by the very rules of
// bpf/conn/outlier_rules.h under a manual clock.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "base/clock.h"
#include "health/state_access.h"
#include "model/assignment.h"
#include "model/cluster.h"
#include "sockmesh_abi.h"

namespace sockmesh {

struct Line {
  sm_endpoint_state state{};
  std::map<std::uint64_t, sm_run> runs;  // by client
};

class FakeStateAccess final : public EndpointStateAccess {
 public:
  explicit FakeStateAccess(const Clock& clock, unsigned seed = 1) : clock_(clock), random_(seed) {}

  // What the agent's writer does with a cluster: its settings, its limit, and states for new
  // endpoints. The states of endpoints that are gone no longer exist and no longer count against
  // the limit.
  void configure(const Cluster& cluster, const LoadAssignment& assignment);

  // The cluster's number from now on, whoever else has it.
  void giveNumber(const std::string& cluster, std::uint32_t number) {
    clusters_[cluster].number = number;
  }

  // A connect's outcome, as sock_ops treats it, and its hints: for an unejection no detector,
  // otherwise the result of a detector.
  using OnHint = std::function<void(std::optional<Detector>, Detection)>;
  void outcome(const std::string& cluster, const SocketAddress& address, std::uint64_t client,
               bool success, const OnHint& onHint);

  Line& line(const std::string& cluster, const SocketAddress& address);
  sm_cluster_state& state(const std::string& cluster) { return clusters_.at(cluster).state; }
  const sm_cluster_stats& stats(const std::string& cluster) { return clusters_.at(cluster).stats; }
  bool ejected(const std::string& cluster, const SocketAddress& address);
  // Whether this client has ejected the endpoint for itself.
  bool ejectedOwn(const std::string& cluster, const SocketAddress& address, std::uint64_t client);
  std::size_t reads() const { return reads_; }

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
  struct ClusterLines {
    sm_cluster_state state{};
    sm_cluster_stats stats{};
    std::map<SocketAddress, Line> endpoints;
    bool marked = false;
    std::uint32_t number = 0;
  };
  std::uint64_t now() const { return static_cast<std::uint64_t>(clock_.monotonic().count()); }
  Detection detect(ClusterLines& cluster, Line& line, std::uint32_t detector,
                   std::uint32_t enforcingPercent);
  Detection detectOwn(ClusterLines& cluster, Line& line, std::uint64_t client,
                      const sm_consecutive_rule& rule);
  std::uint32_t numberOf(std::uint64_t client);
  std::uint64_t bitOf(std::uint64_t client);

  const Clock& clock_;
  std::mt19937 random_;
  std::map<std::string, ClusterLines> clusters_;
  std::map<std::uint64_t, std::uint32_t> numbers_;  // of clients, as they come
  mutable std::size_t reads_ = 0;
};

// How many endpoints of `n` may be ejected at once.
std::uint32_t ejectionLimit(const OutlierDetection& settings, std::size_t n);

}  // namespace sockmesh
