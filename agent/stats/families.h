// SPDX-License-Identifier: Apache-2.0
// Small makers of Prometheus metric families.
#pragma once

#include <prometheus/metric_family.h>

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace sockmesh {

using Labels = std::vector<std::pair<std::string, std::string>>;

class Family {
 public:
  Family(prometheus::MetricType type, std::string name, std::string help);

  Family& add(const Labels& labels, double value);  // a counter or a gauge, by the family's type
  // `counts[i]` are the values up to `bounds[i]` and beyond bounds[i - 1]; counts has one more.
  Family& add(const Labels& labels, const std::vector<double>& bounds,
              const std::vector<std::uint64_t>& counts, double sum);

  prometheus::MetricFamily take() { return std::move(family_); }

 private:
  prometheus::MetricFamily family_;
};

Family counterFamily(std::string name, std::string help);
Family gaugeFamily(std::string name, std::string help);
Family histogramFamily(std::string name, std::string help);

}  // namespace sockmesh
