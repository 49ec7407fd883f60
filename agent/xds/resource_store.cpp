// SPDX-License-Identifier: Apache-2.0
#include "xds/resource_store.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "xds/decode.h"
#include "xds/received.h"
#include "xds/wanted_names.h"
#include "xds/warming.h"

namespace sockmesh {
namespace {

// The last good version of a resource, with the hash of what it was decoded from.
struct Held {
  std::optional<std::uint64_t> hash;  // none: not from the server, any resource replaces it
  DecodedResource value;
};

// All that is known of one type.
struct TypeState {
  const ResourceType* type = nullptr;
  std::map<std::string, Held> held;    // the newest good versions; Warming knows which are in force
  WantedNames wanted;                  // kByName
  std::optional<std::string> version;  // of the last response of which nothing was rejected
  bool received = false;               // a response of which anything could be used

  bool byName() const { return type->scope == ResourceType::Scope::kByName; }
};

// In the order of resourceTypes().
std::vector<TypeState> makeTypes() {
  std::vector<TypeState> types;
  for (const ResourceType& type : resourceTypes()) types.emplace_back().type = &type;
  return types;
}

constexpr const char* kTwice = "is there more than once; the first one counts";

}  // namespace

struct ResourceStore::State {
  std::vector<TypeState> types = makeTypes();
  Snapshot inForce;  // `changed` since the last one was handed out
  Warming warming{inForce, [this](std::string_view url) -> WantedNames& {
                    return of(*findResourceType(url)).wanted;
                  }};
  ResourceTtls ttls;

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
                 ApplyResult& result);
  void applyNamed(TypeState& state, ReceivedUpdate all, ApplyResult& result);
  bool take(TypeState& state, const Received& received, ApplyResult& result);
  void hold(TypeState& state, const std::string& name, Held version);
  void removeAbsent(TypeState& state, const std::set<std::string>& present, ApplyResult& result);
  void removeNamed(TypeState& state, const std::vector<std::string>& names, ApplyResult& result);
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
  state.held[name] = std::move(version);
  state.wanted.arrived(name);
}

// Takes `received` where it is good; what was there before stays otherwise, and also where the same
// came again. True where another object is held than before.
bool ResourceStore::State::take(TypeState& state, const Received& received, ApplyResult& result) {
  const ResourceType& type = *state.type;
  const auto before = state.held.find(received.name);
  const bool known = before != state.held.end();
  if (!received.proto) {
    if (known) {
      result.accepted.push_back(received.name);
    } else {
      result.rejected.push_back({received.name, "has no content, and none is known of it"});
    }
    return false;
  }
  const std::uint64_t hash = contentHash(*received.proto);
  if (known && before->second.hash == hash) {
    result.accepted.push_back(received.name);
    DecodedResource renewed = type.renewed ? type.renewed(before->second.value) : nullptr;
    if (!renewed) return false;
    hold(state, received.name, {hash, std::move(renewed)});
    return true;
  }
  auto decoded = type.decode(*received.proto);
  if (!decoded) {
    result.rejected.push_back({received.name, decoded.error().message()});
    return false;
  }
  if (received.name.empty()) {
    result.rejected.push_back({"", std::string(type.nameField) + ": is required"});
    return false;
  }
  hold(state, received.name, {hash, *std::move(decoded)});
  result.accepted.push_back(received.name);
  return true;
}

// The update is everything there is, or says what is not there any more.
void ResourceStore::State::applyList(TypeState& state, ReceivedUpdate all, const Update& update,
                                     Nanos now, ApplyResult& result) {
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
    if (take(state, one, result)) touch(result);
    if (state.type->expires && state.held.contains(one.name)) {
      ttls.received({state.type, one.name}, one.ttl, now);
    }
  }
  if (isList) removeAbsent(state, present, result);
  if (!update.stateOfTheWorld) removeNamed(state, update.removed, result);
}

void ResourceStore::State::removeAbsent(TypeState& state, const std::set<std::string>& present,
                                        ApplyResult& result) {
  // A resource without a readable name may be any of the resources that seem to be absent.
  const bool allNamed = !present.contains("");
  setListed(state, allNamed, result);
  if (!allNamed) return;
  const auto removed = std::erase_if(state.held, [&](const auto& entry) {
    if (present.contains(entry.first)) return false;
    remove(state, entry.first);
    return true;
  });
  if (removed > 0) touch(result);
}

void ResourceStore::State::removeNamed(TypeState& state, const std::vector<std::string>& names,
                                       ApplyResult& result) {
  setListed(state, true, result);
  for (const std::string& name : names) {
    if (state.held.erase(name) == 0) continue;
    remove(state, name);
    touch(result);
  }
}

void ResourceStore::State::remove(const TypeState& state, const std::string& name) {
  ttls.removed({state.type, name});
  state.type->remove(warming, name);
}

void ResourceStore::State::setListed(const TypeState& state, bool complete, ApplyResult& result) {
  if (state.type->listed && state.type->listed(warming, complete)) touch(result);
}

// The update has a part of what is subscribed to: names that are absent stay as they are.
void ResourceStore::State::applyNamed(TypeState& state, ReceivedUpdate all, ApplyResult& result) {
  result.rejected = std::move(all.rejected);
  std::set<std::string> seen;
  for (const Received& one : all.resources) {
    // The server uses the requested name, which is the wrapper's name if there is a wrapper.
    const std::string& name = one.wrapperName.empty() ? one.name : one.wrapperName;
    if (!state.wanted.contains(name)) continue;
    if (!seen.insert(name).second) {
      result.rejected.push_back({name, kTwice});
    } else if (name != one.name) {
      result.rejected.push_back({name, std::string(state.type->nameField) + ": is '" + one.name +
                                           "', not '" + name + "'"});
    } else if (take(state, one, result)) {
      touch(result);
    }
  }
}

// After anything that may let a version into force, or end what a version wants. True where that
// changed what is in force.
bool ResourceStore::State::settle() {
  bool changed = warming.settle();
  for (TypeState& state : types) {
    for (const std::string& name : state.wanted.takeReleased()) {
      if (state.held.erase(name) == 0) continue;
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

ApplyResult ResourceStore::apply(const Update& update, Nanos now) {
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
    state_->applyNamed(state, std::move(all), result);
  } else {
    state_->applyList(state, std::move(all), update, now, result);
  }
  if (state_->settle()) result.changed = true;
  state_->noteReceived(state, update, result);
  return result;
}

std::vector<std::string> ResourceStore::wanted(const ResourceType& type) const {
  return state_->of(type).wanted.names();
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
  TypeState& state = state_->of(*key.type);
  if (!state.wanted.contains(key.name) || state.wanted.hasArrived(key.name)) return false;
  state_->hold(state, key.name, {std::nullopt, key.type->absent(key.name)});
  state_->handedOut.reset();
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
    state_->of(*key.type).held.erase(key.name);
    key.type->expire(state_->warming, key.name);
  }
  if (expired.empty()) return expired;
  state_->settle();
  state_->handedOut.reset();
  return expired;
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
