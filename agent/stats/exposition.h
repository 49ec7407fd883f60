// SPDX-License-Identifier: Apache-2.0
// All metrics as Prometheus' text format 0.0.4.
#pragma once

#include <prometheus/collectable.h>

#include <memory>
#include <string>
#include <vector>

namespace sockmesh {

using Collectables = std::vector<std::shared_ptr<const prometheus::Collectable>>;

inline constexpr const char* kExpositionContentType = "text/plain; version=0.0.4; charset=utf-8";

// Families without any series are left out.
std::string expose(const Collectables& collectables);

}  // namespace sockmesh
