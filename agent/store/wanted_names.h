// SPDX-License-Identifier: Apache-2.0
// The names of one type that versions of other resources want: what to subscribe to, and what has
// yet to arrive. Several versions may want one name. One thread.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/name.h"

namespace sockmesh {

class WantedNames {
 public:
  // A version wants `name`, and waits `timeout` (0: for ever) for the first resource of that name.
  void add(const std::string& name, Nanos timeout);
  // The version is gone. The name stays known until takeReleased().
  void remove(const std::string& name, Nanos timeout);
  // Names that no version wants any more; they are forgotten here.
  std::vector<std::string> takeReleased();

  // The resource of this wanted name has come, or counts as absent.
  void arrived(const std::string& name);

  bool contains(const std::string& name) const;
  bool hasArrived(const std::string& name) const;
  // All, sorted.
  std::vector<std::string> names() const;
  // Goes up whenever names() changes.
  std::uint64_t revision() const { return revision_; }
  // Names that have not arrived, with the time that they have. No version is taken as empty before
  // its own time-out, so the longest counts (0: for ever).
  const std::map<std::string, Nanos>& missing() const { return missing_; }

 private:
  struct Entry {
    std::multiset<Nanos> timeouts;  // one for each version
    bool arrived = false;
  };
  void updateMissing(const std::string& name, const Entry& entry);

  NameMap<Entry> entries_;
  std::map<std::string, Nanos> missing_;
  std::set<std::string> released_;  // without a version, since takeReleased()
  std::uint64_t revision_ = 0;
};

}  // namespace sockmesh
