#include "lb/group_builder.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
#include <utility>

#include "lb/consistent_hash.h"
#include "lb/schedule.h"

namespace sockmesh {
namespace {

constexpr double kQ16 = 65536;

std::vector<double> weightsOf(const HostList& hosts) {
  std::vector<double> weights;
  weights.reserve(hosts.size());
  for (const Host* host : hosts) weights.push_back(host->weight);
  return weights;
}

bool allEqual(const std::vector<double>& weights) {
  return std::all_of(weights.begin(), weights.end(),
                     [&](double weight) { return weight == weights.front(); });
}

// Fields that say where the hosts come from.
LbGroup describe(const GroupContext& context, const HostsSource& source, const HostList& hosts) {
  LbGroup group;
  group.cluster = context.cluster.name;
  group.priority = source.priority;
  if (source.panic) group.flags |= SM_GROUP_PANIC;
  if (context.noPanic) group.flags |= SM_GROUP_NO_PANIC;
  if (source.degraded) group.flags |= SM_GROUP_DEGRADED;
  group.hosts.reserve(hosts.size());
  for (const Host* host : hosts) group.hosts.push_back(host->endpoint->address);
  const auto hasOther = [](const Host* host) { return host->endpoint->otherAddress.has_value(); };
  if (std::any_of(hosts.begin(), hosts.end(), hasOther)) {
    for (const Host* host : hosts) group.otherAddresses.push_back(host->endpoint->otherAddress);
  }
  const bool oneLocality = std::all_of(hosts.begin(), hosts.end(), [&](const Host* host) {
    return *host->locality == *hosts.front()->locality;
  });
  if (oneLocality && !hosts.empty()) group.locality = *hosts.front()->locality;
  return group;
}

std::shared_ptr<const LbGroup> finish(LbGroup group) {
  return std::make_shared<const LbGroup>(std::move(group));
}

std::shared_ptr<const LbGroup> noHost(const GroupContext& context) {
  return verdict(SM_POLICY_REFUSE, context.reasonNoHost, context.cluster.name);
}

std::shared_ptr<const LbGroup> randomGroup(const GroupContext& context, LbGroup group,
                                           const std::vector<double>& weights) {
  group.policy = SM_POLICY_RANDOM;
  group.table = context.pool.share(aliasTable(weights));
  return finish(std::move(group));
}

// What part of a pick among `hosts` each has under RANDOM.
std::vector<double> randomShares(const GroupContext& context, const HostList& hosts) {
  std::vector<double> shares =
      context.weightedRandom ? weightsOf(hosts) : std::vector<double>(hosts.size(), 1);
  const double sum = std::accumulate(shares.begin(), shares.end(), 0.0);
  for (double& share : shares) share /= sum;
  return shares;
}

std::vector<SharedGroup> randomGroups(const GroupContext& context,
                                      const std::vector<HostsSource>& sources) {
  HostList hosts;
  std::vector<double> weights;
  double refused = 0;
  for (const HostsSource& source : sources) {
    for (const HostsPart& part : source.parts) {
      const double share = source.load / 100.0 * part.share;
      if (part.hosts.empty()) refused += share;
      hosts.insert(hosts.end(), part.hosts.begin(), part.hosts.end());
      for (const double each : randomShares(context, part.hosts)) weights.push_back(share * each);
    }
  }
  std::vector<SharedGroup> groups;
  if (!hosts.empty()) {
    LbGroup group = describe(context, sources.front(), hosts);
    for (const HostsSource& source : sources) {
      if (!source.panic) group.flags &= ~SM_GROUP_PANIC;
      if (!source.degraded) group.flags &= ~SM_GROUP_DEGRADED;
    }
    groups.push_back({1 - refused, randomGroup(context, std::move(group), weights)});
  }
  if (refused > 0) groups.push_back({refused, noHost(context)});
  return groups;
}

std::shared_ptr<const LbGroup> scheduleGroup(const GroupContext& context, LbGroup group,
                                             const std::vector<std::uint32_t>& picks) {
  group.policy = SM_POLICY_ROUND_ROBIN;
  group.table = context.pool.share(wordTable(picks));
  return finish(std::move(group));
}

std::shared_ptr<const LbGroup> roundRobinPart(const GroupContext& context,
                                              const HostsSource& source, const HostsPart& part) {
  LbGroup group = describe(context, source, part.hosts);
  // Envoy's panic keeps the endpoints' weights.
  const std::vector<double> weights = weightsOf(part.hosts);
  if (const auto picks = schedule(weights)) return scheduleGroup(context, std::move(group), *picks);
  return randomGroup(context, std::move(group), weights);
}

// All localities of a source in one schedule, where one can hold them.
std::shared_ptr<const LbGroup> nestedGroup(const GroupContext& context, const HostsSource& source) {
  HostList hosts;
  std::vector<LocalityWeights> localities;
  for (const HostsPart& part : source.parts) {
    hosts.insert(hosts.end(), part.hosts.begin(), part.hosts.end());
    localities.push_back({part.weight, weightsOf(part.hosts)});
  }
  const auto picks = nestedSchedule(localities);
  if (!picks) return nullptr;
  return scheduleGroup(context, describe(context, source, hosts), *picks);
}

// Draws by w^(1 / (1 + bias)); see bpf/policy/least_request.h.
CellTable leastRequestTable(std::vector<double> weights, double bias) {
  const double heaviest = *std::max_element(weights.begin(), weights.end());
  for (double& weight : weights) weight = std::pow(weight / heaviest, 1 / (1 + bias));
  CellTable table = aliasTable(weights);
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const double inverse = std::round(kQ16 / weights[i]);
    table.cells[i].alias.inverse_q16 = static_cast<__u32>(std::min(inverse, double{UINT32_MAX}));
  }
  return table;
}

std::shared_ptr<const LbGroup> leastRequestPart(const GroupContext& context,
                                                const HostsSource& source, const HostsPart& part) {
  const LoadBalancing& lb = context.cluster.lb;
  LbGroup group = describe(context, source, part.hosts);
  group.policy = SM_POLICY_LEAST_REQUEST;
  group.choiceCount = lb.choiceCount;
  const double bias = std::clamp(lb.activeRequestBias, 0.0, UINT32_MAX / kQ16);
  group.biasQ16 = static_cast<std::uint32_t>(std::round(bias * kQ16));
  if (lb.fullScan) group.flags |= SM_GROUP_FULL_SCAN;
  const std::vector<double> weights = weightsOf(part.hosts);
  if (!allEqual(weights)) {
    group.flags |= SM_GROUP_WEIGHTED;
    group.table = context.pool.share(leastRequestTable(weights, bias));
  }
  return finish(std::move(group));
}

void appendSource(const GroupContext& context, const HostsSource& source,
                  std::vector<SharedGroup>& groups) {
  const double load = source.load / 100.0;
  const bool roundRobin = context.cluster.lb.policy == LbPolicy::kRoundRobin;
  if (roundRobin && source.localityWeighted) {
    if (auto nested = nestedGroup(context, source)) {
      groups.push_back({load, std::move(nested)});
      return;
    }
  }
  for (const HostsPart& part : source.parts) {
    if (part.hosts.empty()) {
      groups.push_back({load * part.share, noHost(context)});
      continue;
    }
    groups.push_back({load * part.share, roundRobin ? roundRobinPart(context, source, part)
                                                    : leastRequestPart(context, source, part)});
  }
}

}  // namespace

std::shared_ptr<const LbGroup> verdict(sm_policy policy, sm_reason reason,
                                       const std::string& cluster) {
  LbGroup group;
  group.policy = policy;
  group.reason = reason;
  group.cluster = cluster;
  return finish(std::move(group));
}

std::vector<SharedGroup> weightGroups(const GroupContext& context,
                                      const std::vector<HostsSource>& sources) {
  if (context.cluster.lb.policy == LbPolicy::kRandom) return randomGroups(context, sources);
  std::vector<SharedGroup> groups;
  for (const HostsSource& source : sources) appendSource(context, source, groups);
  return groups;
}

std::shared_ptr<const LbGroup> hashGroup(const GroupContext& context, const HostSet& set,
                                         std::uint32_t priority, bool panic,
                                         bool localityWeighted) {
  const LoadBalancing& lb = context.cluster.lb;
  const HashHosts chosen = hashHosts(set, panic, localityWeighted, lb.useHostnameForHashing);
  if (chosen.hosts.empty()) return noHost(context);
  HostsSource source;
  source.priority = priority;
  source.panic = panic;
  LbGroup group = describe(context, source, chosen.hosts);
  group.balancePercent = lb.hashBalanceFactor;
  if (lb.policy == LbPolicy::kMaglev) {
    group.policy = SM_POLICY_MAGLEV;
    CellTable table = wordTable(maglevTable(chosen.entries, lb.maglevTableSize));
    if (group.balancePercent > 0) appendWeights(chosen.entries, table);
    group.table = context.pool.share(std::move(table));
    return finish(std::move(group));
  }
  group.policy = SM_POLICY_RING_HASH;
  const auto entries =
      ring(chosen.entries, lb.minimumRingSize, lb.maximumRingSize, lb.hashFunction);
  // minimum_ring_size 0, which Envoy takes: a ring on which no host is found.
  if (entries.empty()) return noHost(context);
  EncodedRing encoded = encodeRing(entries);
  group.ringShift = encoded.shift;
  if (group.balancePercent > 0) appendWeights(chosen.entries, encoded.table);
  group.table = context.pool.share(std::move(encoded.table));
  return finish(std::move(group));
}

}  // namespace sockmesh
