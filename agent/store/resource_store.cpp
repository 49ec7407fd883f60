// SPDX-License-Identifier: Apache-2.0
#include "store/resource_store.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "decode/file_names.h"
#include "store/received.h"
#include "store/store_state.h"

namespace sockmesh {

ResourceStore::ResourceStore() : state_(std::make_unique<State>()) {}
ResourceStore::~ResourceStore() = default;

void ResourceStore::observe(ResourceObserver& observer) {
  state_->observers.push_back(&observer);
}

void ResourceStore::unobserve(ResourceObserver& observer) {
  std::erase(state_->observers, &observer);
}

void ResourceStore::limit(const ResourceLimits& limits) {
  state_->limits = limits;
}

ApplyResult ResourceStore::apply(const Update& update, Nanos now, ResourceSource source) {
  ApplyResult result;
  const ResourceType* type = findResourceType(update.typeUrl);
  if (type == nullptr) {
    result.rejected.push_back({"", "type_url: '" + update.typeUrl + "' was not asked for"});
    return result;
  }
  TypeState& state = state_->of(*type);
  ReceivedUpdate all = parseResources(update, *type, state_->limits.nesting);
  if (!all.unreadable.empty()) {
    result.rejected = std::move(all.unreadable);
    return result;
  }
  if (state.byName()) {
    state_->applyNamed(state, std::move(all), update, source, result);
  } else {
    state_->applyList(state, std::move(all), update, now, source, result);
  }
  if (state_->settle()) result.changed = true;
  if (source == ResourceSource::kControlPlane) state_->noteReceived(state, update, result);
  return result;
}

std::map<std::string, std::shared_ptr<const DnsDiscovery>> ResourceStore::takeDnsChanges() {
  auto changes = state_->warming.takeDnsChanges();
  for (const auto& [name, discovery] : changes) {
    if (!discovery) state_->dropResolved(name);
  }
  return changes;
}

bool ResourceStore::dnsHasChanges() const {
  return state_->warming.dnsHasChanges();
}

Result<bool> ResourceStore::setResolved(const std::string& resolvedName,
                                        std::shared_ptr<const LoadAssignment> newest) {
  const std::size_t count = newest->endpointCount();
  if (auto fits = state_->fitsResolved(resolvedName, count); !fits) return fits.error();
  if (!state_->warming.setResolved(resolvedName, std::move(newest))) return false;
  state_->holdResolved(resolvedName, count);
  state_->settle();
  state_->handedOut.reset();
  return true;
}

void ResourceStore::useWorkloads() {
  state_->warming.workloads().use(true);
}

void ResourceStore::resolveServices() {
  state_->warming.resolveServices(true);
}

std::map<std::string, bool> ResourceStore::takeServiceNames() {
  return state_->warming.takeServiceNames();
}

bool ResourceStore::setServiceAddresses(const std::string& name,
                                        const std::vector<IpAddress>& addresses) {
  state_->warming.setServiceAddresses(name, addresses);
  return state_->settle();
}

bool ResourceStore::closeLists() {
  ApplyResult result;
  for (TypeState& state : state_->types) {
    if (state.byName()) continue;
    state.received = true;
    state_->setListed(state, true, result);
  }
  if (!std::exchange(state_->inForce.complete, true)) {
    state_->inForce.changed.all = true;
    state_->touch(result);
  }
  return result.changed;
}

std::vector<std::string> ResourceStore::wanted(const ResourceType& type) const {
  std::vector<std::string> names = state_->of(type).wanted.names();
  std::erase_if(names, [](const std::string& name) { return fileResource(name).has_value(); });
  return names;
}

std::vector<std::string> ResourceStore::wantedOfFiles(const ResourceType& type) const {
  std::vector<std::string> names = state_->of(type).wanted.names();
  std::erase_if(names, [](const std::string& name) { return !fileResource(name); });
  return names;
}

bool ResourceStore::hasArrived(const ResourceKey& key) const {
  return state_->of(*key.type).wanted.hasArrived(key.name);
}

std::uint64_t ResourceStore::wantedRevision(const ResourceType& type) const {
  return state_->of(type).wanted.revision();
}

bool ResourceStore::needs(const ResourceType& type) const {
  return type.needed == nullptr || type.needed(state_->warming);
}

std::map<ResourceKey, Nanos> ResourceStore::missing() const {
  std::map<ResourceKey, Nanos> missing;
  for (const TypeState& state : state_->types) {
    for (const auto& [name, timeout] : state.wanted.missing()) {
      missing.emplace_hint(missing.end(), ResourceKey{state.type, name}, timeout);
    }
  }
  return missing;
}

bool ResourceStore::fetchTimedOut(const ResourceKey& key) {
  if (!state_->countAsAbsent(state_->of(*key.type), key.name)) return false;
  state_->settle();
  return true;
}

bool ResourceStore::fetchRejected(const ResourceKey& key) {
  if (key.type->replaces(state_->warming, key.name)) return false;
  return fetchTimedOut(key);
}

std::optional<Nanos> ResourceStore::nextExpiry() const {
  return state_->ttls.next();
}

std::vector<ResourceKey> ResourceStore::expire(Nanos now) {
  std::vector<ResourceKey> expired = state_->ttls.takeExpired(now);
  for (const ResourceKey& key : expired) {
    state_->of(*key.type).drop(key.name);
    state_->observeDropped(state_->of(*key.type), key.name);
    key.type->expire(state_->warming, key.name);
  }
  if (expired.empty()) return expired;
  state_->settle();
  state_->handedOut.reset();
  return expired;
}

bool ResourceStore::forget(const ResourceType& type) {
  ApplyResult result;
  state_->removeAbsent(state_->of(type), {}, ResourceSource::kControlPlane, result);
  return result.changed;
}

ResourceVersions ResourceStore::versions(const ResourceType& type) const {
  ResourceVersions versions;
  for (const auto& [name, held] : state_->of(type).held) {
    if (held.hash && held.source == ResourceSource::kControlPlane)
      versions.emplace_hint(versions.end(), name, held.version);
  }
  return versions;
}

const std::vector<HeldVersion>& ResourceStore::heldBack() const {
  state_->warming.describe();
  return state_->inForce.held;
}

std::size_t ResourceStore::count(const ResourceType& type) const {
  state_->warming.describe();
  return type.count(state_->inForce);
}

std::shared_ptr<const Snapshot> ResourceStore::snapshot() const {
  if (state_->handedOut) return state_->handedOut;
  state_->warming.describe();
  state_->handedOut = std::make_shared<const Snapshot>(state_->inForce);
  state_->inForce.changed = {};
  return state_->handedOut;
}

}  // namespace sockmesh
