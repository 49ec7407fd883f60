// SPDX-License-Identifier: Apache-2.0
#include "store/listener_set.h"

#include <algorithm>
#include <utility>

namespace sockmesh {
namespace {

bool same(const ListenerPart& a, const ListenerPart& b) {
  if ((a.vips == nullptr) != (b.vips == nullptr)) return false;
  if (a.vips) return *a.vips == *b.vips;
  return a.leftAlone == b.leftAlone;
}

bool usesIstiodName(const ListenerPart& part) {
  return part.vips && part.vips->source == VipSource::kDomain &&
         part.vips->route.clusters.front().name->starts_with("outbound|");
}

std::string joined(const std::set<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

}  // namespace

void ListenerSet::want(const DecodedListener& version) {
  for (const auto& [name, timeout] : version.wantedRoutes()) wanted_.add(name, timeout);
}

void ListenerSet::unwant(const DecodedListener& version) {
  for (const auto& [name, timeout] : version.wantedRoutes()) wanted_.remove(name, timeout);
}

void ListenerSet::set(const std::string& name, ListenerPtr newest) {
  want(*newest);
  Entry& entry = listeners_[name];
  if (entry.newest) unwant(*entry.newest);
  entry.newest = std::move(newest);
  waiting_.insert(name);
}

void ListenerSet::remove(const std::string& name) {
  const std::vector<std::string> parts = drop(name);
  gone_.insert(gone_.end(), parts.begin(), parts.end());
}

std::vector<std::string> ListenerSet::drop(const std::string& name) {
  const auto found = listeners_.find(name);
  if (found == listeners_.end()) return {};
  Entry& entry = found->second;
  std::vector<std::string> parts;
  for (const auto& [part, content] : entry.parts) {
    parts.push_back(part);
    owners_.erase(part);
  }
  if (entry.newest) unwant(*entry.newest);
  useServices(name, entry, {});
  release(name, entry);
  waiting_.erase(name);
  touched_.erase(name);
  listeners_.erase(found);
  return parts;
}

void ListenerSet::setRoutes(const std::string& name, RoutesPtr newest) {
  routes_[name] = std::move(newest);
  routesChanged(name);
}

void ListenerSet::removeRoutes(const std::string& name) {
  if (routes_.erase(name) > 0) routesChanged(name);
}

// Listeners with inline routes are not istiod's.
void ListenerSet::setNames(NamesPtr newest) {
  const bool same = newest && names_ && *newest == *names_;
  names_ = std::move(newest);
  if (same) return;
  for (const auto& [routes, users] : users_) touched_.insert(users.begin(), users.end());
}

void ListenerSet::setServiceAddresses(const std::string& name,
                                      const std::vector<IpAddress>& addresses) {
  const auto known = resolved_.find(name);
  if (known == resolved_.end() ? addresses.empty() : known->second == addresses) return;
  if (addresses.empty()) {
    resolved_.erase(known);
  } else {
    resolved_[name] = addresses;
  }
  const auto users = serviceUsers_.find(name);
  if (users != serviceUsers_.end()) touched_.insert(users->second.begin(), users->second.end());
}

// The listener's parts depend on these names from now on, and on no others.
void ListenerSet::useServices(const std::string& listener, Entry& entry,
                              std::set<std::string> names) {
  for (const std::string& name : entry.services) {
    if (names.contains(name)) continue;
    const auto users = serviceUsers_.find(name);
    users->second.erase(listener);
    if (!users->second.empty()) continue;
    serviceUsers_.erase(users);
    serviceNames_[name] = false;
  }
  for (const std::string& name : names) {
    const auto [users, isNew] = serviceUsers_.try_emplace(name);
    users->second.insert(listener);
    if (isNew) serviceNames_[name] = true;
  }
  entry.services = std::move(names);
}

void ListenerSet::routesChanged(const std::string& name) {
  const auto users = users_.find(name);
  if (users != users_.end()) touched_.insert(users->second.begin(), users->second.end());
  noteMissing(name);
}

void ListenerSet::noteMissing(const std::string& name) {
  const auto known = routes_.find(name);
  const bool come = known != routes_.end() && !known->second->absent;
  if (users_.contains(name) && !come) {
    missing_.insert(name);
  } else {
    missing_.erase(name);
  }
}

std::set<std::string> ListenerSet::waitsFor(const DecodedListener& version) const {
  std::set<std::string> names;
  for (const auto& [name, timeout] : version.wantedRoutes()) {
    if (!wanted_.hasArrived(name)) names.insert(name);
  }
  return names;
}

// The version in use is wanted no more.
void ListenerSet::release(const std::string& name, Entry& entry) {
  if (!entry.inUse) return;
  for (const auto& [routes, timeout] : entry.inUse->wantedRoutes()) {
    const auto users = users_.find(routes);
    if (users == users_.end()) continue;
    users->second.erase(name);
    if (users->second.empty()) users_.erase(users);
    noteMissing(routes);
  }
  unwant(*entry.inUse);
}

void ListenerSet::use(const std::string& name, Entry& entry) {
  release(name, entry);
  entry.inUse = std::exchange(entry.newest, nullptr);
  for (const auto& [routes, timeout] : entry.inUse->wantedRoutes()) {
    users_[routes].insert(name);
    noteMissing(routes);
  }
}

// A part of another listener may have the name already, as listener "a/b" and virtual host b of
// listener a.
void ListenerSet::claim(const std::string& listener, ListenerPart& part) {
  std::string name = part.name;
  for (auto owner = owners_.find(name); owner != owners_.end() && owner->second != listener;
       owner = owners_.find(name)) {
    name += "'";
  }
  owners_[name] = listener;
  if (name == part.name) return;
  part.name = name;
  if (!part.vips) {
    part.leftAlone.edit().name = name;
    return;
  }
  auto renamed = std::make_shared<Listener>(*part.vips);
  renamed->name = name;
  part.vips = std::move(renamed);
}

void ListenerSet::takeApart(const std::string& name, ChangedParts& changed) {
  Entry& entry = listeners_.at(name);
  const auto lookup = [this](const std::string& routes) {
    const auto found = routes_.find(routes);
    return found == routes_.end() ? nullptr : found->second;
  };
  std::map<std::string, ListenerPart> before = std::exchange(entry.parts, {});
  ServiceNames services{resolved_};
  auto parts = partsOf(*entry.inUse, lookup, names_.get(), resolvesServices_ ? &services : nullptr);
  useServices(name, entry, std::move(services.wanted));
  for (ListenerPart& part : parts) {
    claim(name, part);
    usesIstiodNames_ = usesIstiodNames_ || usesIstiodName(part);
    const auto known = before.find(part.name);
    const bool unchanged = known != before.end() && same(known->second, part);
    if (!unchanged) changed[part.name] = part;
    if (known != before.end()) before.erase(known);
    entry.parts.emplace(part.name, std::move(part));
  }
  for (const auto& [gone, part] : before) {
    owners_.erase(gone);
    changed.try_emplace(gone, std::nullopt);
  }
}

ListenerSet::ChangedParts ListenerSet::takeChanged(
    const std::function<bool(const std::string& part)>& serves) {
  ChangedParts changed;
  for (const std::string& part : std::exchange(gone_, {})) changed[part] = std::nullopt;
  std::erase_if(waiting_, [&](const std::string& name) {
    Entry& entry = listeners_.at(name);
    const bool inService =
        std::ranges::any_of(entry.parts, [&](const auto& part) { return serves(part.first); });
    if (inService && !waitsFor(*entry.newest).empty()) return false;
    use(name, entry);
    touched_.insert(name);
    return true;
  });
  for (const std::string& name : std::exchange(touched_, {})) takeApart(name, changed);
  return changed;
}

bool ListenerSet::replacementWaitsFor(const std::string& routes) const {
  return std::ranges::any_of(waiting_, [&](const std::string& name) {
    return listeners_.at(name).newest->wantedRoutes().contains(routes);
  });
}

std::vector<MissingRoutes> ListenerSet::missing() const {
  std::vector<MissingRoutes> all;
  for (const std::string& routes : missing_) {
    for (const std::string& listener : users_.at(routes)) {
      all.push_back({listener, routes, routes_.contains(routes)});
    }
  }
  return all;
}

std::vector<HeldVersion> ListenerSet::held() const {
  std::vector<HeldVersion> held;
  for (const std::string& name : waiting_) {
    held.push_back({"LDS", name,
                    "its newest version waits for the routes of " +
                        joined(waitsFor(*listeners_.at(name).newest))});
  }
  return held;
}

}  // namespace sockmesh
