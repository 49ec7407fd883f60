// SPDX-License-Identifier: Apache-2.0
// Collects differences, for drift.h.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "lb/tables.h"
#include "model/drift.h"

namespace sockmesh {

// The differences of one object at a time.
class DriftList {
 public:
  explicit DriftList(Drift::Between between) : between_(between) {}

  // What follows is about this object.
  void about(std::string kind, std::string name) {
    kind_ = std::move(kind);
    name_ = std::move(name);
  }
  void note(const std::string& field, const std::string& wanted, const std::string& found) {
    all_.push_back({between_, kind_, name_, field, wanted, found});
  }
  void compare(const std::string& field, const std::string& wanted, const std::string& found) {
    if (wanted != found) note(field, wanted, found);
  }
  template <typename Number>
  void compare(const std::string& field, Number wanted, Number found) {
    if (wanted != found) note(field, std::to_string(wanted), std::to_string(found));
  }
  void missing() { note("", "there", "not there"); }
  void unexpected() { note("", "not there", "there"); }

  std::vector<Drift> take() { return std::move(all_); }

 private:
  Drift::Between between_;
  std::string kind_;
  std::string name_;
  std::vector<Drift> all_;
};

// "10.96.0.1:80/TCP"
std::string driftName(const VipKey& key);

// Limits, and endpoints by address, of clusters of one name.
void compareClusters(const LbCluster& wanted, const LbCluster& found, DriftList& list);

}  // namespace sockmesh
