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
  std::string version;  // its own; "" where it came without one, or was removed and stays
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
  std::vector<TypeState> types = makeTypes();
  Snapshot inForce;  // `changed` since the last one was handed out
  Warming warming{inForce, [this](std::string_view url) -> WantedNames& {
                    return of(*findResourceType(url)).wanted;
                  }};
  ResourceTtls ttls;
  ResourceObserver* observer = nullptr;

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
  void applyNamed(TypeState& state, ReceivedUpdate all, const Update& update, ApplyResult& result);
  void takeNamed(TypeState& state, const Received& received, ApplyResult& result);
  bool take(TypeState& state, const std::string& name, const Received& received,
            ApplyResult& result);
  bool takeHeartbeat(TypeState& state, const std::string& name, const Received& received,
                     ApplyResult& result);
  void observeHeld(const TypeState& state, const std::string& name, const Received& received) const;
  void observeDropped(const TypeState& state, const std::string& name) const;
  void hold(TypeState& state, const std::string& name, Held version);
  bool countAsAbsent(TypeState& state, const std::string& name);
  void removeAbsent(TypeState& state, const std::set<std::string>& present, ApplyResult& result);
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
  state.held[name] = std::move(version);
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
  if (observer == nullptr) return;
  observer->held({state.type, name}, received.version, received.content,
                 state.type->expires ? received.ttl : std::nullopt);
}

void ResourceStore::State::observeDropped(const TypeState& state, const std::string& name) const {
  if (observer != nullptr) observer->dropped({state.type, name});
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
                                ApplyResult& result) {
  const ResourceType& type = *state.type;
  if (!received.proto) {
    takeHeartbeat(state, name, received, result);
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
    hold(state, name, {hash, std::move(renewed), received.version});
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
  hold(state, name, {hash, *std::move(decoded), received.version});
  observeHeld(state, name, received);
  result.accepted.push_back(name);
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
    // Delta removes by the wrapper's name, so the names have to be the same.
    if (!update.stateOfTheWorld && one.hasOtherName()) {
      result.rejected.push_back(one.otherName(state.type->nameField));
      continue;
    }
    if (take(state, one.name, one, result)) touch(result);
    if (state.type->expires && state.held.contains(one.name)) {
      ttls.received({state.type, one.name}, one.ttl, now);
    }
  }
  if (isList) removeAbsent(state, present, result);
  if (!update.stateOfTheWorld) removeNamed(state, removable(update, present, result), result);
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
  // A delta update says all there is, except where the name of a resource could not be read.
  if (std::ranges::none_of(result.rejected, [](const auto& one) { return one.name.empty(); })) {
    setListed(state, true, result);
  }
  for (const std::string& name : names) {
    if (state.held.erase(name) == 0) continue;
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
                                      ApplyResult& result) {
  result.rejected = std::move(all.rejected);
  std::set<std::string> seen;
  for (const Received& one : all.resources) {
    const bool wanted = state.wanted.contains(one.requestedName()) ||
                        std::ranges::any_of(one.aliases, [&](const std::string& alias) {
                          return state.wanted.contains(alias);
                        });
    if (!wanted) continue;
    if (!seen.insert(one.requestedName()).second) {
      result.rejected.push_back({one.requestedName(), kTwice});
    } else {
      takeNamed(state, one, result);
    }
  }
  noteNamedAbsent(state, removable(update, seen, result));
}

// Under each name by which it is wanted.
void ResourceStore::State::takeNamed(TypeState& state, const Received& received,
                                     ApplyResult& result) {
  const std::string& name = received.requestedName();
  if (state.wanted.contains(name)) {
    if (received.proto && received.hasOtherName()) {
      result.rejected.push_back(received.otherName(state.type->nameField));
    } else if (take(state, name, received, result)) {
      touch(result);
    }
  }
  for (const std::string& alias : received.aliases) {
    if (alias == name || !state.wanted.contains(alias)) continue;
    // Without a content the server says that it knows no resource for the alias.
    if (!received.proto && !state.wanted.contains(name)) {
      noteNamedAbsent(state, {alias});
    } else if (take(state, alias, received, result)) {
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
      if (state.held.erase(name) == 0) continue;
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

void ResourceStore::observe(ResourceObserver* observer) {
  state_->observer = observer;
}

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
    state_->applyNamed(state, std::move(all), update, result);
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
    state_->of(*key.type).held.erase(key.name);
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
    if (held.hash) versions.emplace_hint(versions.end(), name, held.version);
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
