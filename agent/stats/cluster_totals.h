// SPDX-License-Identifier: Apache-2.0
// Sums over a cluster's endpoints that never go down. The kernel forgets an endpoint's counters
// with the endpoint. The plain sum would then fall, and rate() would take the fall for a restart
// and count everything anew. So this class adds up what each endpoint added since the last reading.
// What an endpoint counted between the last reading and its removal is lost.
//
// The buckets of the kernel's histograms are 32-bit words; increments are taken modulo 2^32, so a
// wrap between two readings does not show. One thread.
#pragma once

#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "stats/datapath_stats.h"

namespace sockmesh {

// The endpoints of `stats`, in their order. Endpoints with the same cluster and address are one,
// and their counts are added up: if the second address of an endpoint changed, the earlier endpoint
// stays until its last connection has ended.
std::vector<EndpointStats> mergedByAddress(const DatapathStats& stats);

class ClusterTotals {
 public:
  void update(const DatapathStats& stats);
  // By cluster. A cluster that `stats` no longer lists is gone.
  const std::map<std::string, ConnectionStats>& totals() const { return totals_; }

 private:
  using Identity = std::tuple<std::string, std::uint32_t, std::string>;  // cluster, id, address
  std::map<Identity, ConnectionStats> last_;
  std::map<std::string, ConnectionStats> totals_;
};

}  // namespace sockmesh
