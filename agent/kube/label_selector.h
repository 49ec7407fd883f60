// SPDX-License-Identifier: Apache-2.0
// Kubernetes' label selector (LabelSelector of meta/v1): which labels an object has to have. Used
// for annotations, too, whose values are free.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace sockmesh {

using Labels = std::map<std::string, std::string>;  // or annotations

struct LabelRequirement {
  // kNotIn is also true of an object without the key, as in Kubernetes.
  enum class Operator : std::uint8_t { kIn, kNotIn, kExists, kDoesNotExist };
  std::string key;
  Operator op = Operator::kExists;
  std::vector<std::string> values;  // of kIn and kNotIn
  bool operator==(const LabelRequirement&) const = default;
};

// All of it must be true. An empty selector matches everything.
struct LabelSelector {
  Labels matchLabels;
  std::vector<LabelRequirement> matchExpressions;

  bool matches(const Labels& labels) const;
  bool empty() const { return matchLabels.empty() && matchExpressions.empty(); }
  bool operator==(const LabelSelector&) const = default;
};

// "NAME" or "PREFIX/NAME", as Kubernetes wants the keys of labels and of annotations.
Status checkLabelKey(std::string_view key);
// The value of a label: "" or up to 63 letters, digits, "-", "_" and ".".
Status checkLabelValue(std::string_view value);

}  // namespace sockmesh
