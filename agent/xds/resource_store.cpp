#include "xds/resource_store.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "xds/decode.h"
#include "xds/received.h"
#include "xds/type_urls.h"
#include "xds/warming.h"

namespace sockmesh {
namespace {

using ClusterProto = envoy::config::cluster::v3::Cluster;
using AssignmentProto = envoy::config::endpoint::v3::ClusterLoadAssignment;
using ListenerProto = envoy::config::listener::v3::Listener;
using envoy::service::discovery::v3::DiscoveryResponse;

// The last good version of a resource, with the hash of what it was decoded from.
template <typename Decoded>
struct Held {
  std::optional<std::uint64_t> hash;  // none: not from the server, any resource replaces it
  Decoded value{};
};

template <typename Decoded>
using HeldByName = std::map<std::string, Held<Decoded>>;

auto decode(const ClusterProto& proto) {
  return decodeCluster(proto);
}
auto decode(const AssignmentProto& proto) {
  return decodeAssignment(proto);
}
auto decode(const ListenerProto& proto) {
  return decodeListener(proto);
}

// The same came again: no news, but for an assignment that grows stale with time. Its clock starts
// anew, as in Envoy, so it is a new object.
bool takeAgain(std::shared_ptr<const LoadAssignment>& held) {
  if (!held->endpointStaleAfter) return false;
  held = std::make_shared<const LoadAssignment>(*held);
  return true;
}
template <typename Decoded>
bool takeAgain(const Decoded&) {
  return false;
}

// Takes `received` into `held` where it is good; what was there before stays otherwise, and also
// where the same came again. True where `held` has another object than before.
template <typename Proto, typename Decoded>
bool takeOne(const Received<Proto>& received, HeldByName<Decoded>& held, ApplyResult& result) {
  const auto before = held.find(received.name);
  if (!received.proto) {
    if (before == held.end()) {
      result.rejected.push_back({received.name, "has no content, and none is known of it"});
    } else {
      result.accepted.push_back(received.name);
    }
    return false;
  }
  const std::uint64_t hash = contentHash(*received.proto);
  if (before != held.end() && before->second.hash == hash) {
    result.accepted.push_back(received.name);
    return takeAgain(before->second.value);
  }
  auto decoded = decode(*received.proto);
  if (!decoded) {
    result.rejected.push_back({received.name, decoded.error().message()});
    return false;
  }
  if (received.name.empty()) {
    result.rejected.push_back({"", "name: is required"});
    return false;
  }
  held[received.name] = {hash, *std::move(decoded)};
  result.accepted.push_back(received.name);
  return true;
}

// A response that only renews TTLs: it is no list of what there is.
template <typename Proto>
bool onlyHeartbeats(const ReceivedResponse<Proto>& all) {
  return all.rejected.empty() && !all.resources.empty() &&
         std::ranges::all_of(all.resources, [](const auto& one) { return !one.proto && one.ttl; });
}

}  // namespace

struct ResourceStore::State {
  // The newest good versions; `warming` knows which ones are in force.
  HeldByName<std::shared_ptr<const Cluster>> clusters;
  HeldByName<std::shared_ptr<const LoadAssignment>> assignments;  // by EDS name; only wanted ones
  HeldByName<DecodedListener> listeners;
  Warming warming{[this](const std::string& edsName) { return assignments.contains(edsName); }};
  ResourceTtls ttls;
  std::map<std::string, Nanos> wanted;  // EDS name -> initial_fetch_timeout
  std::map<std::string, std::string> versions;
  std::set<std::string> received;  // types, by short name
  bool clustersListed = false;     // see Snapshot

  // The present state's, once asked for.
  mutable std::shared_ptr<const Snapshot> snapshot;

  bool complete() const { return received.contains("CDS") && received.contains("LDS"); }
  void touch(ApplyResult& result) {
    snapshot.reset();
    result.changed = true;
  }

  template <typename Proto, typename Decoded>
  ApplyResult applySet(const DiscoveryResponse& response, HeldByName<Decoded>& held, Nanos now);
  template <typename Proto, typename Decoded>
  void removeAbsent(const std::set<std::string>& present, HeldByName<Decoded>& held,
                    ApplyResult& result);
  ApplyResult applyAssignments(const DiscoveryResponse& response);
  bool holdsVersion(const DiscoveryResponse& response) const;
  bool settle();
  void updateWanted();
  void noteReceived(const DiscoveryResponse& response, ApplyResult& result);
  std::shared_ptr<const Snapshot> build() const;

  void warm(const std::string& name, const std::shared_ptr<const Cluster>& newest) {
    warming.setCluster(name, newest);
  }
  void warm(const std::string& name, const DecodedListener& newest) {
    warming.setListener(name, newest);
  }
  void remove(const ResourceKey& key) {
    ttls.removed(key);
    if (key.typeUrl == kClusterType) {
      warming.removeCluster(key.name);
    } else {
      warming.removeListener(key.name);
    }
  }
};

namespace {

template <typename Proto>
constexpr std::string_view kTypeOf = kClusterType;
template <>
constexpr std::string_view kTypeOf<ListenerProto> = kListenerType;

}  // namespace

// CDS and LDS: the response is everything there is.
template <typename Proto, typename Decoded>
ApplyResult ResourceStore::State::applySet(const DiscoveryResponse& response,
                                           HeldByName<Decoded>& held, Nanos now) {
  ApplyResult result;
  auto all = takeApart<Proto>(response);
  if (!all.unreadable.empty()) {
    result.rejected = std::move(all.unreadable);
    return result;
  }
  const bool isList = !(onlyHeartbeats(all) && holdsVersion(response));
  result.rejected = std::move(all.rejected);
  std::set<std::string> present;
  for (const RejectedResource& one : result.rejected) present.insert(one.name);
  std::set<std::string> seen;
  for (const Received<Proto>& one : all.resources) {
    present.insert(one.name);
    if (!one.name.empty() && !seen.insert(one.name).second) {
      result.rejected.push_back({one.name, "is there more than once; the first one counts"});
      continue;
    }
    if (takeOne(one, held, result)) {
      warm(one.name, held.at(one.name).value);
      touch(result);
    }
    if (held.contains(one.name)) {
      ttls.received({std::string(kTypeOf<Proto>), one.name}, one.ttl, now);
    }
  }
  if (isList) removeAbsent<Proto>(present, held, result);
  return result;
}

template <typename Proto, typename Decoded>
void ResourceStore::State::removeAbsent(const std::set<std::string>& present,
                                        HeldByName<Decoded>& held, ApplyResult& result) {
  // A resource whose name cannot be read may be any of those that seem to be absent.
  const bool allNamed = !present.contains("");
  if (kTypeOf<Proto> == kClusterType && std::exchange(clustersListed, allNamed) != allNamed) {
    touch(result);
  }
  if (!allNamed) return;
  const auto removed = std::erase_if(held, [&](const auto& entry) {
    if (present.contains(entry.first)) return false;
    remove({std::string(kTypeOf<Proto>), entry.first});
    return true;
  });
  if (removed > 0) touch(result);
}

// EDS: names that are absent stay as they are.
ApplyResult ResourceStore::State::applyAssignments(const DiscoveryResponse& response) {
  ApplyResult result;
  auto all = takeApart<AssignmentProto>(response);
  if (!all.unreadable.empty()) {
    result.rejected = std::move(all.unreadable);
    return result;
  }
  result.rejected = std::move(all.rejected);
  std::set<std::string> seen;
  for (const Received<AssignmentProto>& one : all.resources) {
    // The server goes by the name that was asked for, which is the wrapper's where there is one.
    const std::string& name = one.wrapperName.empty() ? one.name : one.wrapperName;
    if (!wanted.contains(name)) continue;
    if (!seen.insert(name).second) {
      result.rejected.push_back({name, "is there more than once; the first one counts"});
    } else if (name != one.name) {
      result.rejected.push_back({name, "cluster_name: is '" + one.name + "', not '" + name + "'"});
    } else if (takeOne(one, assignments, result)) {
      touch(result);
    }
  }
  return result;
}

bool ResourceStore::State::holdsVersion(const DiscoveryResponse& response) const {
  const auto version = versions.find(shortTypeName(response.type_url()));
  return version != versions.end() && version->second == response.version_info();
}

// After anything that may let a version into force. True where that changed what is.
bool ResourceStore::State::settle() {
  if (!warming.settle()) return false;
  updateWanted();
  snapshot.reset();
  return true;
}

// Several clusters may share an EDS name: none of them is taken as empty before its own time-out,
// so the longest counts (0: for ever).
void ResourceStore::State::updateWanted() {
  wanted.clear();
  warming.eachCluster([this](const Cluster& cluster) {
    if (cluster.type != DiscoveryType::kEds) return;
    const auto [entry, isNew] = wanted.emplace(cluster.edsName, cluster.edsInitialFetchTimeout);
    if (isNew || entry->second == Nanos(0)) return;
    entry->second = cluster.edsInitialFetchTimeout == Nanos(0)
                        ? Nanos(0)
                        : std::max(entry->second, cluster.edsInitialFetchTimeout);
  });
  std::erase_if(assignments, [&](const auto& entry) { return !wanted.contains(entry.first); });
}

void ResourceStore::State::noteReceived(const DiscoveryResponse& response, ApplyResult& result) {
  const std::string type = shortTypeName(response.type_url());
  // A response of which nothing could be used says as little as none at all.
  if (result.ok() || !result.accepted.empty()) {
    const bool before = complete();
    received.insert(type);
    if (complete() != before) touch(result);
  }
  if (!result.ok()) return;
  const auto [version, isNew] = versions.emplace(type, response.version_info());
  if (!isNew && version->second == response.version_info()) return;
  version->second = response.version_info();
  touch(result);
}

std::shared_ptr<const Snapshot> ResourceStore::State::build() const {
  auto built = std::make_shared<Snapshot>();
  built->complete = complete();
  built->clustersListed = clustersListed;
  built->clusters = warming.clusters();
  for (const auto& [name, held] : assignments) {
    built->assignments.emplace_hint(built->assignments.end(), name, held.value);
  }
  for (const auto& [name, version] : warming.listeners()) {
    if (version.listener) {
      built->listeners.emplace_hint(built->listeners.end(), name, version.listener);
    } else {
      built->leftAlone.push_back({name, version.leftAlone});
    }
  }
  built->kept = warming.kept();
  built->versions = versions;
  return built;
}

ResourceStore::ResourceStore() : state_(std::make_unique<State>()) {}
ResourceStore::~ResourceStore() = default;

ApplyResult ResourceStore::apply(const DiscoveryResponse& response, Nanos now) {
  ApplyResult result;
  if (response.type_url() == kClusterType) {
    result = state_->applySet<ClusterProto>(response, state_->clusters, now);
  } else if (response.type_url() == kListenerType) {
    result = state_->applySet<ListenerProto>(response, state_->listeners, now);
  } else if (response.type_url() == kAssignmentType) {
    result = state_->applyAssignments(response);
  } else {
    result.rejected.push_back({"", "type_url: '" + response.type_url() + "' was not asked for"});
    return result;
  }
  const bool settled = state_->settle();
  // A new version that waits asks for its endpoints, too.
  if (!settled && response.type_url() == kClusterType) state_->updateWanted();
  if (settled) result.changed = true;
  state_->noteReceived(response, result);
  return result;
}

std::vector<std::string> ResourceStore::wantedAssignments() const {
  std::vector<std::string> names;
  names.reserve(state_->wanted.size());
  for (const auto& [name, timeout] : state_->wanted) names.push_back(name);
  return names;
}

std::map<std::string, Nanos> ResourceStore::missingAssignments() const {
  std::map<std::string, Nanos> missing;
  for (const auto& [name, timeout] : state_->wanted) {
    if (!state_->assignments.contains(name)) missing.emplace_hint(missing.end(), name, timeout);
  }
  return missing;
}

bool ResourceStore::fetchTimedOut(const std::string& edsName) {
  if (!state_->wanted.contains(edsName) || state_->assignments.contains(edsName)) return false;
  auto empty = std::make_shared<LoadAssignment>();
  empty->clusterName = edsName;
  state_->assignments[edsName] = {std::nullopt, std::move(empty)};
  state_->snapshot.reset();
  state_->settle();
  return true;
}

bool ResourceStore::fetchRejected(const std::string& edsName) {
  if (state_->warming.replacementWaitsFor(edsName)) return false;
  return fetchTimedOut(edsName);
}

std::optional<Nanos> ResourceStore::nextExpiry() const {
  return state_->ttls.next();
}

std::vector<ResourceKey> ResourceStore::expire(Nanos now) {
  std::vector<ResourceKey> expired = state_->ttls.takeExpired(now);
  for (const ResourceKey& key : expired) {
    if (key.typeUrl == kClusterType) {
      state_->clusters.erase(key.name);
      state_->warming.expireCluster(key.name);
    } else {
      state_->listeners.erase(key.name);
      state_->warming.expireListener(key.name);
    }
  }
  if (expired.empty()) return expired;
  state_->settle();
  state_->updateWanted();
  state_->snapshot.reset();
  return expired;
}

std::shared_ptr<const Snapshot> ResourceStore::snapshot() const {
  if (!state_->snapshot) state_->snapshot = state_->build();
  return state_->snapshot;
}

}  // namespace sockmesh
