// SPDX-License-Identifier: Apache-2.0
#include "store/store_state.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "decode/decode.h"

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

// As of assignments: what does not grow is taken.
Status ResourceStore::State::fitsResolved(const std::string& name, std::size_t endpoints) const {
  const auto before = resolved.find(name);
  const std::size_t replaced = before == resolved.end() ? 0 : before->second;
  if (endpoints <= replaced) return {};
  return limits.checkEndpoints(allResolved - replaced + endpoints);
}

void ResourceStore::State::holdResolved(const std::string& name, std::size_t endpoints) {
  std::size_t& count = resolved[name];
  allResolved = allResolved - count + endpoints;
  count = endpoints;
}

void ResourceStore::State::dropResolved(const std::string& name) {
  const auto found = resolved.find(name);
  if (found == resolved.end()) return;
  allResolved -= found->second;
  resolved.erase(found);
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

}  // namespace sockmesh
