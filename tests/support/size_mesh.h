// SPDX-License-Identifier: Apache-2.0
// A mesh of any size, and whether the kernel holds it whole. What is expected follows from the
// numbers alone, and not from the tables that were written.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "lb/tables.h"
#include "maps/kernel_maps.h"
#include "model/snapshot.h"

namespace sockmesh::test {

struct SizeMesh {
  int services = 0;   // at most 262144; each with a cluster of its own
  int endpoints = 0;  // of each; at most 16

  Snapshot snapshot() const;
  std::shared_ptr<const LbTables> tables() const;

  // Reads everything back from the kernel's maps: what is missing, wrong or too much, a line of
  // text each. Empty: each VIP leads to exactly its endpoints under its names, and there is nothing
  // else.
  std::vector<std::string> differences(const KernelMaps& maps) const;
};

}  // namespace sockmesh::test
