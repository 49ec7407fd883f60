// SPDX-License-Identifier: Apache-2.0
// Where two of three disagree: the resources of the control plane, the tables that the agent made
// of them, and what the kernel holds. For people.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace sockmesh {

struct Drift {
  enum class Between : std::uint8_t {
    kControlPlaneAndTables,
    kTablesAndKernel,
  };
  Between between = Between::kTablesAndKernel;
  std::string kind;    // "Service", "Cluster", "Endpoint"
  std::string name;    // "10.96.0.1:80/TCP"; the cluster's; the cluster's and the address
  std::string field;   // "groups[0].hosts"; "" for the object as a whole
  std::string wanted;  // of the field, as the first of the two has it; "there", "not there"
  std::string found;   // as the second has it; also "broken: " and why
  bool operator==(const Drift&) const = default;
};

// A comparison of all three.
struct DriftReport {
  // How many were compared, as the tables have them.
  std::size_t services = 0;
  std::size_t clusters = 0;
  std::size_t endpoints = 0;
  std::vector<Drift> drifts;  // the control plane's first, then by kind and name
};

}  // namespace sockmesh
