// Snapshot + HealthOverlay -> LbTables: every decision of Envoy's that can be made ahead of a
// connection. Knows no ids, no kernel and no clock; equal input gives equal (and shared) output.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "lb/tables.h"
#include "model/health_overlay.h"
#include "model/snapshot.h"

namespace sockmesh {

// Client-IP session affinity, which no xDS message carries: seconds by VIP, else by the listener's
// name.
struct AffinityOptions {
  std::map<SocketAddress, std::uint32_t> byVip;
  std::map<std::string, std::uint32_t> byService;
  // 0: none.
  std::uint32_t secondsOf(const std::string& service, const SocketAddress& vip) const;
};

struct CompilerOptions {
  Locality nodeLocality;  // orders localities; zone-aware routing's own zone
  // The EDS/cluster name whose membership is the callers' own cluster (Envoy's
  // cluster_manager.local_cluster_name); empty: zone-aware routing is off.
  std::string localCluster;
  AffinityOptions affinity{};
  bool weightedRandom = false;  // RANDOM goes by endpoint weights, which Envoy's ignores
};

class Compiler {
 public:
  explicit Compiler(CompilerOptions options);
  ~Compiler();

  // `now` is CLOCK_MONOTONIC and never goes back between calls. Clusters whose resources, overlay
  // and time-dependent weights did not change since the last call keep their tables.
  std::shared_ptr<const LbTables> compile(const Snapshot& snapshot, const HealthOverlay& overlay,
                                          Nanos now);

  // When time alone changes the result next (slow start, endpoint_stale_after); nothing: never.
  std::optional<Nanos> nextChange() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace sockmesh
