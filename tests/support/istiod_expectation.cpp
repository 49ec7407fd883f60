// SPDX-License-Identifier: Apache-2.0
#include "support/istiod_expectation.h"

#include <algorithm>
#include <cmath>
#include <set>

namespace sockmesh {

namespace {

constexpr std::uint32_t kDefaultConsecutive5xx = 5;

// A DestinationRule's policy for one port and subset. Subsets inherit field by field; the settings
// of a port inherit nothing.
class TrafficPolicy {
 public:
  TrafficPolicy(const YAML::Node& rule, const std::string& subset, std::uint16_t port) {
    take(nodeAt(rule, {"spec", "trafficPolicy"}), port);
    for (const YAML::Node& one : nodeAt(rule, {"spec", "subsets"})) {
      if (!subset.empty() && textAt(one, {"name"}) == subset) {
        take(nodeAt(one, {"trafficPolicy"}), port);
      }
    }
  }

  // `key` is loadBalancer, connectionPool or outlierDetection. Null if it is not set.
  YAML::Node at(const std::string& key, std::initializer_list<const char*> path = {}) const {
    const auto found = parts_.find(key);
    return found == parts_.end() ? YAML::Node() : nodeAt(found->second, path);
  }
  bool has(const std::string& key) const { return parts_.contains(key); }
  std::string text(const std::string& key, std::initializer_list<const char*> path) const {
    const YAML::Node node = at(key, path);
    return node.IsScalar() ? node.as<std::string>() : "";
  }

 private:
  void take(const YAML::Node& policy, std::uint16_t port) {
    static constexpr const char* kParts[] = {"loadBalancer", "connectionPool", "outlierDetection",
                                             "tls"};
    YAML::Node from = policy;
    for (const YAML::Node& one : nodeAt(policy, {"portLevelSettings"})) {
      if (textAt(one, {"port", "number"}) != std::to_string(port)) continue;
      parts_.clear();
      from.reset(one);
    }
    for (const char* part : kParts) {
      const YAML::Node given = nodeAt(from, {part});
      if (!given.IsNull()) parts_[part].reset(given);
    }
  }

  std::map<std::string, YAML::Node> parts_;
};

Nanos parseDuration(const std::string& text) {
  static const std::map<std::string, Nanos> kUnits = {{"ms", std::chrono::milliseconds(1)},
                                                      {"s", std::chrono::seconds(1)},
                                                      {"m", std::chrono::minutes(1)},
                                                      {"h", std::chrono::hours(1)}};
  std::size_t digits = 0;
  const double number = std::stod(text, &digits);
  return Nanos(std::llround(number * static_cast<double>(kUnits.at(text.substr(digits)).count())));
}

// A pattern "region1/zone1/*" of localityLbSetting; what it leaves out matches all.
bool localityMatches(const std::string& pattern, const Locality& locality) {
  const std::string full = locality.region + "/" + locality.zone + "/" + locality.subZone;
  const std::string prefix = pattern.substr(0, pattern.find('*'));
  return pattern == "*" || full == pattern || locality.toString() == pattern ||
         (pattern.ends_with('*') && full.starts_with(prefix)) || full.starts_with(pattern + "/");
}

// How far away a locality is before gaps between priorities are closed.
std::uint32_t distance(const Locality& client, const Locality& locality,
                       const YAML::Node& failover) {
  if (client.region == locality.region) {
    if (client.zone != locality.zone) return 2;
    return client.subZone == locality.subZone ? 0 : 1;
  }
  for (const YAML::Node& one : failover) {
    if (textAt(one, {"from"}) == client.region && textAt(one, {"to"}) == locality.region) return 3;
  }
  return failover.IsSequence() ? 4 : 3;
}

class Expectation {
 public:
  explicit Expectation(const IstiodInputs& inputs) : inputs_(inputs) {}

  ExpectedVips all() {
    for (const InputService& service : inputs_.services) {
      for (const InputPort& port : service.ports) {
        if (port.kind == PortKind::kUdp) continue;  // never reaches a sidecar
        const ExpectedVip vip = vipOf(service, port);
        for (const Vip& address : addressesOf(service, port)) vips_.emplace(address, vip);
      }
    }
    return std::move(vips_);
  }

 private:
  // Headless services have VIPs at their endpoints' addresses, except at the client's own address.
  std::vector<Vip> addressesOf(const InputService& service, const InputPort& port) const {
    std::vector<Vip> addresses;
    const auto add = [&](const std::string& ip) {
      if (const auto parsed = IpAddress::parse(ip); parsed.ok()) {
        addresses.emplace_back(*parsed, port.number);
      }
    };
    for (const std::string& vip : service.vips) add(vip);
    // No virtual host has a range as its domain.
    for (const std::string& range : service.ranges) {
      if (port.kind == PortKind::kHttp) break;
      addresses.push_back(Vip::parse(range + ":" + std::to_string(port.number)).value());
    }
    if (!service.headless) return addresses;
    for (const InputEndpoint& one : port.endpoints) {
      if (one.address != inputs_.client.address) add(one.address);
    }
    return addresses;
  }

  ExpectedVip vipOf(const InputService& service, const InputPort& port) const {
    ExpectedVip vip;
    if (port.kind == PortKind::kHttp && service.headless) {
      vip.leftAlone = "clients of a headless service connect to its pods";
      return vip;
    }
    if (port.kind == PortKind::kHttp) {
      addHttpRoutes(service, port, vip);
    } else {
      addRoutes(service, port, vip);
    }
    if (vip.clusters.empty()) vip.clusters.push_back(clusterOf(service, port, ""));
    const TrafficPolicy policy(ruleOf(service), "", port.number);
    vip.hashSourceIp = policy.text("loadBalancer", {"consistentHash", "useSourceIp"}) == "true";
    return vip;
  }

  // The legs of a VirtualService's first tcp route for the port; zero weights are dropped.
  void addRoutes(const InputService& service, const InputPort& port, ExpectedVip& vip) const {
    for (const YAML::Node& rule : inputs_.virtualServices) {
      if (!namesHost(nodeAt(rule, {"spec", "hosts"}), service, rule)) continue;
      for (const YAML::Node& route : nodeAt(rule, {"spec", "tcp"})) {
        if (!vip.clusters.empty() || !matchesPort(nodeAt(route, {"match"}), port.number)) continue;
        const YAML::Node legs = nodeAt(route, {"route"});
        for (const YAML::Node& leg : legs) addLeg(leg, port, legs.size() > 1, vip);
      }
    }
  }

  // The legs of a VirtualService's first http route without a condition on requests.
  void addHttpRoutes(const InputService& service, const InputPort& port, ExpectedVip& vip) const {
    for (const YAML::Node& rule : inputs_.virtualServices) {
      if (!namesHost(nodeAt(rule, {"spec", "hosts"}), service, rule)) continue;
      for (const YAML::Node& route : nodeAt(rule, {"spec", "http"})) {
        if (!vip.clusters.empty() || !takesEveryRequest(nodeAt(route, {"match"}), port.number)) {
          continue;
        }
        const YAML::Node legs = nodeAt(route, {"route"});
        for (const YAML::Node& leg : legs) addLeg(leg, port, legs.size() > 1, vip);
      }
    }
  }

  // A match with nothing but this port, or with the path prefix "/".
  static bool takesEveryRequest(const YAML::Node& matches, std::uint16_t number) {
    if (!matches.IsSequence()) return true;
    return std::any_of(matches.begin(), matches.end(), [&](const YAML::Node& match) {
      for (const auto& condition : match) {
        const auto key = condition.first.as<std::string>();
        const bool anyPath = key == "uri" && textAt(match, {"uri", "prefix"}) == "/";
        const bool thisPort = key == "port" && textAt(match, {"port"}) == std::to_string(number);
        if (!anyPath && !thisPort && key != "name") return false;
      }
      return true;
    });
  }

  void addLeg(const YAML::Node& leg, const InputPort& port, bool weighted, ExpectedVip& vip) const {
    const std::string host = textAt(leg, {"destination", "host"});
    const auto number = textAt(leg, {"destination", "port", "number"}, std::to_string(port.number));
    const std::uint32_t weight =
        weighted ? static_cast<std::uint32_t>(std::stoul(textAt(leg, {"weight"}, "0"))) : 1;
    for (const InputService& service : inputs_.services) {
      for (const InputPort& one : service.ports) {
        if (service.host != host || std::to_string(one.number) != number || weight == 0) continue;
        vip.clusters.push_back(clusterOf(service, one, textAt(leg, {"destination", "subset"})));
        vip.clusters.back().weight = weight;
      }
    }
  }

  static bool matchesPort(const YAML::Node& matches, std::uint16_t number) {
    if (!matches.IsSequence()) return true;
    return std::any_of(matches.begin(), matches.end(), [&](const YAML::Node& match) {
      return textAt(match, {"port"}, std::to_string(number)) == std::to_string(number);
    });
  }

  // A host may be given by its short name, within the rule's namespace.
  static bool isHost(const std::string& host, const InputService& service, const YAML::Node& rule) {
    const std::string space = textAt(rule, {"metadata", "namespace"}, "default");
    return host == service.host || host + "." + space + ".svc.cluster.local" == service.host;
  }

  static bool namesHost(const YAML::Node& hosts, const InputService& service,
                        const YAML::Node& rule) {
    return std::any_of(hosts.begin(), hosts.end(), [&](const YAML::Node& host) {
      return isHost(host.as<std::string>(), service, rule);
    });
  }

  YAML::Node ruleOf(const InputService& service) const {
    for (const YAML::Node& rule : inputs_.destinationRules) {
      if (isHost(textAt(rule, {"spec", "host"}), service, rule)) return rule;
    }
    return {};
  }

  ExpectedCluster clusterOf(const InputService& service, const InputPort& port,
                            const std::string& subset) const {
    const YAML::Node rule = ruleOf(service);
    const TrafficPolicy policy(rule, subset, port.number);
    ExpectedCluster cluster;
    cluster.name = "outbound|" + std::to_string(port.number) + "|" + subset + "|" + service.host;
    takePolicy(policy, service, cluster);
    if (service.resolution == Resolution::kNone || cluster.policy == LbPolicy::kClusterProvided) {
      cluster.policy = LbPolicy::kClusterProvided;
      cluster.leaveAlone = LeftAloneReason::kOriginalDst;
    } else if (service.resolution != Resolution::kStatic) {
      addTargets(service, port, cluster);
    } else {
      addEndpoints(service, port, subsetLabels(rule, subset), cluster);
      prioritise(policy, service, cluster);
      weighLocalities(policy, service, cluster);
    }
    return cluster;
  }

  static Labels subsetLabels(const YAML::Node& rule, const std::string& subset) {
    Labels labels;
    for (const YAML::Node& one : nodeAt(rule, {"spec", "subsets"})) {
      if (subset.empty() || textAt(one, {"name"}) != subset) continue;
      for (const auto& label : nodeAt(one, {"labels"})) {
        labels[label.first.as<std::string>()] = label.second.as<std::string>();
      }
    }
    return labels;
  }

  static LbPolicy policyOf(const TrafficPolicy& policy) {
    static const std::map<std::string, LbPolicy> kSimple = {
        {"", LbPolicy::kLeastRequest},
        {"UNSPECIFIED", LbPolicy::kLeastRequest},
        {"LEAST_CONN", LbPolicy::kLeastRequest},
        {"LEAST_REQUEST", LbPolicy::kLeastRequest},
        {"RANDOM", LbPolicy::kRandom},
        {"ROUND_ROBIN", LbPolicy::kRoundRobin},
        {"PASSTHROUGH", LbPolicy::kClusterProvided}};
    if (!policy.at("loadBalancer", {"consistentHash", "maglev"}).IsNull()) return LbPolicy::kMaglev;
    if (!policy.at("loadBalancer", {"consistentHash"}).IsNull()) return LbPolicy::kRingHash;
    return kSimple.at(policy.text("loadBalancer", {"simple"}));
  }

  static void takePolicy(const TrafficPolicy& policy, const InputService& service,
                         ExpectedCluster& cluster) {
    cluster.policy = policyOf(policy);
    const bool localities =
        !policy.at("loadBalancer", {"localityLbSetting"}).IsNull() &&
        policy.text("loadBalancer", {"localityLbSetting", "enabled"}) != "false";
    if (localities || service.preferClose) cluster.localityMode = LocalityMode::kLocalityWeighted;
    if (const auto most = policy.text("connectionPool", {"tcp", "maxConnections"}); !most.empty()) {
      cluster.maxConnections = static_cast<std::uint32_t>(std::stoul(most));
    }
    if (const auto time = policy.text("connectionPool", {"tcp", "connectTimeout"}); !time.empty()) {
      cluster.connectTimeout = parseDuration(time);
    }
    if (!policy.has("outlierDetection")) return;
    const auto errors = policy.text("outlierDetection", {"consecutive5xxErrors"});
    cluster.consecutive5xx =
        errors.empty() ? kDefaultConsecutive5xx : static_cast<std::uint32_t>(std::stoul(errors));
    const auto healthy = policy.text("outlierDetection", {"minHealthPercent"});
    if (!healthy.empty()) cluster.panicThresholdPercent = std::stod(healthy);
  }

  void addEndpoints(const InputService& service, const InputPort& port, const Labels& labels,
                    ExpectedCluster& cluster) const {
    for (const InputEndpoint& one : port.endpoints) {
      if (service.nodeLocal && one.node != inputs_.client.node) continue;
      const bool inSubset = std::all_of(labels.begin(), labels.end(), [&](const auto& label) {
        const auto found = one.labels.find(label.first);
        return found != one.labels.end() && found->second == label.second;
      });
      const auto ip = IpAddress::parse(one.address);
      if (!inSubset || !ip.ok()) continue;
      cluster.endpoints.push_back({.address = {*ip, one.port},
                                   .weight = one.weight,
                                   .healthy = one.healthy,
                                   .locality = one.locality});
    }
    std::sort(cluster.endpoints.begin(), cluster.endpoints.end());
  }

  // The names of a service that DNS resolves: those of its endpoints, or its own.
  static void addTargets(const InputService& service, const InputPort& port,
                         ExpectedCluster& cluster) {
    for (const InputEndpoint& one : port.endpoints) {
      cluster.targets.push_back({one.address, one.port, one.weight});
    }
    if (cluster.targets.empty()) cluster.targets.push_back({service.host, port.number, 1});
    std::sort(cluster.targets.begin(), cluster.targets.end());
  }

  // Fail-over by locality: on for outlier detection and for trafficDistribution, unless weights are
  // distributed; priorities are then 0, 1, 2 ... without a gap.
  void prioritise(const TrafficPolicy& policy, const InputService& service,
                  ExpectedCluster& cluster) const {
    const bool off = policy.text("loadBalancer", {"localityLbSetting", "enabled"}) == "false" ||
                     !policy.at("loadBalancer", {"localityLbSetting", "distribute"}).IsNull();
    if (off || (!policy.has("outlierDetection") && !service.preferClose)) return;
    const YAML::Node failover = policy.at("loadBalancer", {"localityLbSetting", "failover"});
    std::set<std::uint32_t> distances;
    for (ExpectedEndpoint& one : cluster.endpoints) {
      one.priority = distance(inputs_.client.locality, one.locality, failover);
      distances.insert(one.priority);
    }
    for (ExpectedEndpoint& one : cluster.endpoints) {
      one.priority = static_cast<std::uint32_t>(
          std::distance(distances.begin(), distances.find(one.priority)));
    }
  }

  // A locality's weight is the sum of its endpoints' weights. With `distribute` it is the
  // locality's share of its pattern's weight, and a locality without a pattern loses its endpoints.
  void weighLocalities(const TrafficPolicy& policy, const InputService& service,
                       ExpectedCluster& cluster) const {
    std::map<Locality, std::uint32_t> sums;
    for (const ExpectedEndpoint& one : cluster.endpoints) {
      sums[one.locality] += one.weight * service.copies;
    }
    std::map<Locality, std::uint32_t> weights = sums;
    for (const YAML::Node& one : policy.at("loadBalancer", {"localityLbSetting", "distribute"})) {
      if (!localityMatches(textAt(one, {"from"}), inputs_.client.locality)) continue;
      weights = distributed(nodeAt(one, {"to"}), sums);
      break;
    }
    std::erase_if(cluster.endpoints,
                  [&](const ExpectedEndpoint& one) { return !weights.contains(one.locality); });
    for (ExpectedEndpoint& one : cluster.endpoints) one.localityWeight = weights[one.locality];
  }

  static std::map<Locality, std::uint32_t> distributed(
      const YAML::Node& to, const std::map<Locality, std::uint32_t>& sums) {
    std::map<Locality, std::uint32_t> weights;
    for (const auto& share : to) {
      const auto pattern = share.first.as<std::string>();
      double total = 0;
      for (const auto& [locality, sum] : sums) {
        if (localityMatches(pattern, locality)) total += sum;
      }
      for (const auto& [locality, sum] : sums) {
        if (!localityMatches(pattern, locality)) continue;
        weights[locality] =
            static_cast<std::uint32_t>(std::ceil(sum * share.second.as<double>() / total));
      }
    }
    return weights;
  }

  const IstiodInputs& inputs_;
  ExpectedVips vips_;
};

}  // namespace

void PrintTo(const ExpectedEndpoint& one, std::ostream* out) {
  *out << one.address.toString() << " weight " << one.weight << (one.healthy ? "" : " unhealthy")
       << " in '" << one.locality.toString() << "' of weight " << one.localityWeight
       << " at priority " << one.priority;
}

ExpectedVips expectVips(const IstiodInputs& inputs) {
  return Expectation(inputs).all();
}

}  // namespace sockmesh
