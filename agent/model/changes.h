// SPDX-License-Identifier: Apache-2.0
// Which resources changed, by name. A set of changes travels beside the state that it leads to, so
// that a reader walks only what depends on the changed resources. A plain value: no locking.
#pragma once

#include <set>
#include <string>

namespace sockmesh {

struct Changes {
  // Anything may have changed: the reader must look at everything. The sets say nothing then.
  bool all = false;
  // Names that appeared, disappeared or have new content.
  std::set<std::string> clusters;
  std::set<std::string> assignments;  // by EDS name
  // Parts of listeners. A changed route configuration counts as a change of the parts that differ.
  std::set<std::string> listeners;

  static Changes everything() {
    Changes changes;
    changes.all = true;
    return changes;
  }

  bool empty() const {
    return !all && clusters.empty() && assignments.empty() && listeners.empty();
  }

  // Adds what `later` says, for a reader that skipped the state between the two.
  void merge(const Changes& later) {
    if (all || later.all) {
      *this = everything();
      return;
    }
    clusters.insert(later.clusters.begin(), later.clusters.end());
    assignments.insert(later.assignments.begin(), later.assignments.end());
    listeners.insert(later.listeners.begin(), later.listeners.end());
  }

  bool operator==(const Changes&) const = default;
};

}  // namespace sockmesh
