// SPDX-License-Identifier: Apache-2.0
// The usual process_* metrics of this process, from /proc/self.
#pragma once

#include <prometheus/collectable.h>

#include <vector>

namespace sockmesh {

class ProcessCollector final : public prometheus::Collectable {
 public:
  // What /proc does not tell is left out. Any thread.
  std::vector<prometheus::MetricFamily> Collect() const override;
};

}  // namespace sockmesh
