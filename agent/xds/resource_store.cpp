// SPDX-License-Identifier: Apache-2.0
#include "xds/resource_store.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "xds/decode.h"
#include "xds/file_names.h"
#include "xds/received.h"
#include "xds/type_state.h"
#include "xds/warming.h"

namespace sockmesh {
namespace {

constexpr const char* kTwice = "is there more than once; the first one counts";
constexpr const char* kRemovedToo = "is in removed_resources more than once, or in resources too";

// What a delta update removes. A name that is also among `present` stays and is an error.
std::vector<std::string> removable(const Update& update, const std::set<std::string>& present,
                                   ApplyResult& result) {
  std::vector<std::string> names;
  std::set<std::string> seen;
  for (const std::string& name : update.removed) {
    const bool once = seen.insert(name).second;
    if (once && !present.contains(name)) {
      names.push_back(name);
    } else {
      result.rejected.push_back({name, kRemovedToo});
    }
  }
  return names;
}

}  // namespace

struct ResourceStore::State {
  std::vector<TypeState> types = makeTypeStates();
  ResourceLimits limits;
  Snapshot inForce;  // `changed` since the last one was handed out
  Warming warming{inForce, [this](std::string_view url) -> WantedNames& {
                    return of(*findResourceType(url)).wanted;
                  }};
  ResourceTtls ttls;
  std::vector<ResourceObserver*> observers;

  // The snapshot of the present state, once it was requested.
  mutable std::shared_ptr<const Snapshot> handedOut;

  TypeState& of(const ResourceType& type) {
    return types[static_cast<std::size_t>(&type - resourceTypes().data())];
  }
  bool complete() const;
  void touch(ApplyResult& result) {
    handedOut.reset();
    result.changed = true;
  }

  void applyList(TypeState& state, ReceivedUpdate all, const Update& update, Nanos now,
                 ResourceSource source, ApplyResult& result);
  void takeListed(TypeState& state, const Received& received, Nanos now, ResourceSource source,
                  ApplyResult& result);
  void applyNamed(TypeState& state, ReceivedUpdate all, const Update& update, ResourceSource source,
                  ApplyResult& result);
  void takeNamed(TypeState& state, const Received& received, ResourceSource source,
                 ApplyResult& result);
  bool take(TypeState& state, const std::string& name, const Received& received,
            ResourceSource source, ApplyResult& result);
  bool takeHeartbeat(TypeState& state, const std::string& name, const Received& received,
                     ApplyResult& result);
  void observeHeld(const TypeState& state, const std::string& name, const Received& received) const;
  void observeDropped(const TypeState& state, const std::string& name) const;
  void hold(TypeState& state, const std::string& name, Held version);
  bool countAsAbsent(TypeState& state, const std::string& name);
  void removeAbsent(TypeState& state, const std::set<std::string>& present, ResourceSource source,
                    ApplyResult& result);
  void removeNamed(TypeState& state, const std::vector<std::string>& names, ApplyResult& result);
  static void noteNamedAbsent(TypeState& state, const std::vector<std::string>& names);
  void remove(const TypeState& state, const std::string& name);
  void setListed(const TypeState& state, bool complete, ApplyResult& result);
  bool settle();
  void noteReceived(TypeState& state, const Update& update, ApplyResult& result);
};

// Types without a wildcard have a part of what there is, and say nothing about the rest.
bool ResourceStore::State::complete() const {
  return std::ranges::all_of(types, [](const auto& state) {
    return state.byName() || state.type->needed != nullptr || state.received;
  });
}

void ResourceStore::State::hold(TypeState& state, const std::string& name, Held version) {
  state.type->set(warming, name, version.value);
  state.put(name, std::move(version));
  state.wanted.arrived(name);
}

// A name that was asked for counts as absent. True where that is news.
bool ResourceStore::State::countAsAbsent(TypeState& state, const std::string& name) {
  if (!state.wanted.contains(name) || state.wanted.hasArrived(name)) return false;
  hold(state, name, {std::nullopt, state.type->absent(name), ""});
  handedOut.reset();
  return true;
}

void ResourceStore::State::observeHeld(const TypeState& state, const std::string& name,
                                       const Received& received) const {
  if (!state.isOf(name, ResourceSource::kControlPlane)) return;
  for (ResourceObserver* observer : observers) {
    observer->held({state.type, name}, received.version, received.content,
                   state.type->expires ? received.ttl : std::nullopt);
  }
}

void ResourceStore::State::observeDropped(const TypeState& state, const std::string& name) const {
  for (ResourceObserver* observer : observers) observer->dropped({state.type, name});
}

// True where it was one for what is held.
bool ResourceStore::State::takeHeartbeat(TypeState& state, const std::string& name,
                                         const Received& received, ApplyResult& result) {
  const auto held = state.held.find(name);
  if (held == state.held.end()) {
    result.rejected.push_back({name, "has no content, and none is known of it"});
  } else if (!received.version.empty() && !held->second.version.empty() &&
             received.version != held->second.version) {
    result.rejected.push_back({name, "has no content, and version \"" + received.version +
                                         "\" where \"" + held->second.version + "\" is held"});
  } else {
    result.accepted.push_back(name);
    return true;
  }
  return false;
}

// Takes `received` as `name` where it is good; what was there before stays otherwise, and also
// where the same came again. True where another object is held than before.
bool ResourceStore::State::take(TypeState& state, const std::string& name, const Received& received,
                                ResourceSource source, ApplyResult& result) {
  const ResourceType& type = *state.type;
  if (!received.proto) {
    takeHeartbeat(state, name, received, result);
    return false;
  }
  if (auto fits = limits.checkSize(received.content.size()); !fits) {
    result.rejected.push_back({name, fits.error().message()});
    return false;
  }
  const std::uint64_t hash = contentHash(*received.proto);
  const auto before = state.held.find(name);
  if (before != state.held.end() && before->second.hash == hash) {
    result.accepted.push_back(name);
    if (before->second.version != received.version || received.ttl)
      observeHeld(state, name, received);
    before->second.version = received.version;
    DecodedResource renewed = type.renewed ? type.renewed(before->second.value) : nullptr;
    if (!renewed) return false;
    hold(state, name, {hash, std::move(renewed), received.version, source});
    return true;
  }
  auto decoded = type.decode(*received.proto);
  if (!decoded) {
    result.rejected.push_back({name, decoded.error().message()});
    return false;
  }
  if (name.empty()) {
    result.rejected.push_back({"", std::string(type.nameField) + ": is required"});
    return false;
  }
  Held newest{hash, *std::move(decoded), received.version, source};
  newest.endpoints = type.endpoints ? type.endpoints(newest.value) : 0;
  if (auto fits = state.fits(name, newest, limits); !fits) {
    result.rejected.push_back({name, fits.error().message()});
    return false;
  }
  hold(state, name, std::move(newest));
  observeHeld(state, name, received);
  result.accepted.push_back(name);
  return true;
}

// The update is everything there is, or says what is not there any more.
void ResourceStore::State::applyList(TypeState& state, ReceivedUpdate all, const Update& update,
                                     Nanos now, ResourceSource source, ApplyResult& result) {
  const bool isList =
      update.stateOfTheWorld && !(all.onlyHeartbeats() && state.version == update.version);
  result.rejected = std::move(all.rejected);
  std::set<std::string> present;
  for (const RejectedResource& one : result.rejected) present.insert(one.name);
  std::set<std::string> seen;
  for (const Received& one : all.resources) {
    present.insert(one.name);
    if (!one.name.empty() && !seen.insert(one.name).second) {
      result.rejected.push_back({one.name, kTwice});
      continue;
    }
    // Delta removes by the wrapper's name, so the names have to be the same.
    if (!update.stateOfTheWorld && one.hasOtherName()) {
      result.rejected.push_back(one.otherName(state.type->nameField));
      continue;
    }
    takeListed(state, one, now, source, result);
  }
  if (isList) removeAbsent(state, present, source, result);
  if (!update.stateOfTheWorld) removeNamed(state, removable(update, present, result), result);
}

// Takes one resource of a list, if the name is not another source's.
void ResourceStore::State::takeListed(TypeState& state, const Received& received, Nanos now,
                                      ResourceSource source, ApplyResult& result) {
  const std::string& name = received.name;
  const auto held = state.held.find(name);
  if (held != state.held.end() && held->second.source != source) {
    result.rejected.push_back(
        {name, "is already in " + std::string(sourceName(held->second.source))});
    result.contested = true;
    return;
  }
  const std::size_t rejected = result.rejected.size();
  if (take(state, name, received, source, result)) touch(result);
  // What is kept in place of a rejected version keeps its time, too.
  if (result.rejected.size() > rejected) return;
  if (state.type->expires && state.isOf(name, ResourceSource::kControlPlane)) {
    ttls.received({state.type, name}, received.ttl, now);
  }
}

void ResourceStore::State::removeAbsent(TypeState& state, const std::set<std::string>& present,
                                        ResourceSource source, ApplyResult& result) {
  // A resource without a readable name may be any of the resources that seem to be absent.
  const bool allNamed = !present.contains("");
  if (source == ResourceSource::kControlPlane) setListed(state, allNamed, result);
  if (!allNamed) return;
  const auto removed = std::erase_if(state.held, [&](const auto& entry) {
    if (present.contains(entry.first) || entry.second.source != source) return false;
    state.endpoints -= entry.second.endpoints;
    remove(state, entry.first);
    return true;
  });
  if (removed > 0) touch(result);
}

void ResourceStore::State::removeNamed(TypeState& state, const std::vector<std::string>& names,
                                       ApplyResult& result) {
  // A delta update says all there is, except where the name of a resource could not be read.
  if (std::ranges::none_of(result.rejected, [](const auto& one) { return one.name.empty(); })) {
    setListed(state, true, result);
  }
  for (const std::string& name : names) {
    if (!state.isOf(name, ResourceSource::kControlPlane)) continue;
    state.drop(name);
    remove(state, name);
    touch(result);
  }
}

void ResourceStore::State::remove(const TypeState& state, const std::string& name) {
  ttls.removed({state.type, name});
  observeDropped(state, name);
  state.type->remove(warming, name);
}

void ResourceStore::State::setListed(const TypeState& state, bool complete, ApplyResult& result) {
  if (state.type->listed && state.type->listed(warming, complete)) touch(result);
}

// The update has a part of what is subscribed to: names that are absent stay as they are.
void ResourceStore::State::applyNamed(TypeState& state, ReceivedUpdate all, const Update& update,
                                      ResourceSource source, ApplyResult& result) {
  result.rejected = std::move(all.rejected);
  std::set<std::string> seen;
  for (const Received& one : all.resources) {
    const bool wanted = state.wants(one.requestedName(), source) ||
                        std::ranges::any_of(one.aliases, [&](const std::string& alias) {
                          return state.wants(alias, source);
                        });
    if (!wanted) continue;
    if (!seen.insert(one.requestedName()).second) {
      result.rejected.push_back({one.requestedName(), kTwice});
    } else {
      takeNamed(state, one, source, result);
    }
  }
  noteNamedAbsent(state, removable(update, seen, result));
}

// Under each name by which it is wanted.
void ResourceStore::State::takeNamed(TypeState& state, const Received& received,
                                     ResourceSource source, ApplyResult& result) {
  const std::string& name = received.requestedName();
  if (state.wants(name, source)) {
    // In a file a resource has the first part of its name.
    if (source != ResourceSource::kFile && received.proto && received.hasOtherName()) {
      result.rejected.push_back(received.otherName(state.type->nameField));
    } else if (take(state, name, received, source, result)) {
      touch(result);
    }
  }
  for (const std::string& alias : received.aliases) {
    if (alias == name || !state.wants(alias, source)) continue;
    // Without a content the server says that it knows no resource for the alias.
    if (!received.proto && !state.wants(name, source)) {
      noteNamedAbsent(state, {alias});
    } else if (take(state, alias, received, source, result)) {
      touch(result);
    }
  }
}

// The server does not have these, or not yet. What is held stays while it is wanted.
void ResourceStore::State::noteNamedAbsent(TypeState& state,
                                           const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    if (const auto held = state.held.find(name); held != state.held.end()) {
      held->second.version.clear();
    }
  }
}

// After anything that may let a version into force, or end what a version wants. True where that
// changed what is in force.
bool ResourceStore::State::settle() {
  bool changed = warming.settle();
  for (TypeState& state : types) {
    for (const std::string& name : state.wanted.takeReleased()) {
      if (!state.drop(name)) continue;
      observeDropped(state, name);
      state.type->remove(warming, name);
      changed = true;
    }
  }
  if (changed) handedOut.reset();
  return changed;
}

void ResourceStore::State::noteReceived(TypeState& state, const Update& update,
                                        ApplyResult& result) {
  // A response without any usable resource counts as no response.
  if (result.ok() || !result.accepted.empty()) {
    state.received = true;
    if (!inForce.complete && complete()) {
      inForce.complete = inForce.changed.all = true;
      touch(result);
    }
  }
  if (!result.ok() || state.version == update.version) return;
  state.version = update.version;
  inForce.versions[state.type->shortName] = update.version;
  touch(result);
}

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
  ReceivedUpdate all = parseResources(update, *type);
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
  return state_->warming.takeDnsChanges();
}

bool ResourceStore::dnsHasChanges() const {
  return state_->warming.dnsHasChanges();
}

bool ResourceStore::setResolved(const std::string& resolvedName,
                                std::shared_ptr<const LoadAssignment> newest) {
  if (!state_->warming.setResolved(resolvedName, std::move(newest))) return false;
  state_->settle();
  state_->handedOut.reset();
  return true;
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
