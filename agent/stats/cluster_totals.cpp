// SPDX-License-Identifier: Apache-2.0
#include "stats/cluster_totals.h"

#include <set>

namespace sockmesh {
namespace {

// Adds `now` - `last`, or all of `now` if the counter began anew.
void advance(std::uint64_t& total, std::uint64_t last, std::uint64_t now) {
  total += now >= last ? now - last : now;
}

void advance(NamedCounts& total, const NamedCounts& last, const NamedCounts& now) {
  if (total.empty()) {
    for (const auto& [name, count] : now) total.emplace_back(name, 0);
  }
  for (std::size_t i = 0; i < now.size() && i < total.size(); ++i) {
    advance(total[i].second, i < last.size() ? last[i].second : 0, now[i].second);
  }
}

void advance(LogHistogram& total, const LogHistogram& last, const LogHistogram& now) {
  total.firstBoundSeconds = now.firstBoundSeconds;
  total.buckets.resize(now.buckets.size());
  for (std::size_t i = 0; i < now.buckets.size(); ++i) {
    const std::uint64_t before = i < last.buckets.size() ? last.buckets[i] : 0;
    total.buckets[i] += static_cast<std::uint32_t>(now.buckets[i] - before);
  }
}

void advance(ConnectionStats& total, const ConnectionStats& last, const ConnectionStats& now) {
  advance(total.selected, last.selected, now.selected);
  advance(total.established, last.established, now.established);
  advance(total.failed, last.failed, now.failed);
  advance(total.closed, last.closed, now.closed);
  advance(total.sentBytes, last.sentBytes, now.sentBytes);
  advance(total.receivedBytes, last.receivedBytes, now.receivedBytes);
  advance(total.retransmits, last.retransmits, now.retransmits);
  advance(total.disputed, last.disputed, now.disputed);
  advance(total.connectDuration, last.connectDuration, now.connectDuration);
  advance(total.rtt, last.rtt, now.rtt);
}

}  // namespace

std::vector<EndpointStats> mergedByAddress(const DatapathStats& stats) {
  std::vector<EndpointStats> merged;
  for (const EndpointStats& endpoint : stats.endpoints) {
    const bool again = !merged.empty() && merged.back().cluster == endpoint.cluster &&
                       merged.back().address == endpoint.address;
    if (!again) {
      merged.push_back(endpoint);
      continue;
    }
    EndpointStats& one = merged.back();
    one.active += endpoint.active;
    one.ejected = one.ejected || endpoint.ejected;
    advance(one.connections, {}, endpoint.connections);
  }
  return merged;
}

void ClusterTotals::update(const DatapathStats& stats) {
  std::map<Identity, ConnectionStats> current;
  std::set<std::string> clusters;
  for (const ClusterStats& cluster : stats.clusters) clusters.insert(cluster.cluster);
  for (const EndpointStats& endpoint : stats.endpoints) {
    clusters.insert(endpoint.cluster);
    Identity identity{endpoint.cluster, endpoint.id, endpoint.address};
    const auto found = last_.find(identity);
    const ConnectionStats nothing;
    // An id that was freed and given to the same address again starts from zero.
    const bool same =
        found != last_.end() && found->second.selected <= endpoint.connections.selected;
    advance(totals_[endpoint.cluster], same ? found->second : nothing, endpoint.connections);
    current.emplace(std::move(identity), endpoint.connections);
  }
  last_ = std::move(current);
  std::erase_if(totals_, [&](const auto& total) { return !clusters.contains(total.first); });
}

}  // namespace sockmesh
