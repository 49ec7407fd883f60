// SPDX-License-Identifier: Apache-2.0
#include "store/wanted_names.h"

namespace sockmesh {

void WantedNames::add(const std::string& name, Nanos timeout) {
  const auto [entry, isNew] = entries_.try_emplace(name);
  entry->second.timeouts.insert(timeout);
  released_.erase(name);
  if (isNew) ++revision_;
  updateMissing(name, entry->second);
}

void WantedNames::remove(const std::string& name, Nanos timeout) {
  const auto found = entries_.find(name);
  if (found == entries_.end()) return;
  std::multiset<Nanos>& timeouts = found->second.timeouts;
  if (const auto one = timeouts.find(timeout); one != timeouts.end()) timeouts.erase(one);
  if (timeouts.empty()) released_.insert(name);
  updateMissing(name, found->second);
}

std::vector<std::string> WantedNames::takeReleased() {
  std::vector<std::string> names(released_.begin(), released_.end());
  released_.clear();
  for (const std::string& name : names) entries_.erase(name);
  revision_ += names.size();
  return names;
}

void WantedNames::arrived(const std::string& name) {
  const auto found = entries_.find(name);
  if (found == entries_.end()) return;
  found->second.arrived = true;
  missing_.erase(name);
}

bool WantedNames::contains(const std::string& name) const {
  const auto found = entries_.find(name);
  return found != entries_.end() && !found->second.timeouts.empty();
}

bool WantedNames::hasArrived(const std::string& name) const {
  const auto found = entries_.find(name);
  return found != entries_.end() && found->second.arrived;
}

std::vector<std::string> WantedNames::names() const {
  std::vector<std::string> names;
  names.reserve(entries_.size());
  for (const auto& [name, entry] : entries_) {
    if (!entry.timeouts.empty()) names.push_back(name);
  }
  return names;
}

void WantedNames::updateMissing(const std::string& name, const Entry& entry) {
  if (entry.arrived || entry.timeouts.empty()) {
    missing_.erase(name);
    return;
  }
  const bool forEver = *entry.timeouts.begin() == Nanos(0);
  missing_[name] = forEver ? Nanos(0) : *entry.timeouts.rbegin();
}

}  // namespace sockmesh
