// SPDX-License-Identifier: Apache-2.0
#include "stats/exposition.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

namespace sockmesh {

std::string expose(const Collectables& collectables) {
  std::vector<prometheus::MetricFamily> families;
  for (const auto& collectable : collectables) {
    for (prometheus::MetricFamily& family : collectable->Collect()) {
      if (!family.metric.empty()) families.push_back(std::move(family));
    }
  }
  return prometheus::TextSerializer().Serialize(families);
}

}  // namespace sockmesh
