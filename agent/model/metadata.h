// SPDX-License-Identifier: Apache-2.0
// filter_metadata["envoy.lb"] of endpoints and filters: values with deep equality, as the subset
// load balancer compares them.
#pragma once

#include <map>
#include <string>
#include <variant>
#include <vector>

namespace sockmesh {

// A google.protobuf.Value. Lists and structs compare by content, numbers as doubles.
struct MetadataValue {
  using List = std::vector<MetadataValue>;
  using Struct = std::map<std::string, MetadataValue>;
  std::variant<std::monostate, bool, double, std::string, List, Struct> value;

  bool operator==(const MetadataValue& other) const { return value == other.value; }
  bool operator<(const MetadataValue& other) const { return value < other.value; }
};

using MetadataStruct = MetadataValue::Struct;

}  // namespace sockmesh
