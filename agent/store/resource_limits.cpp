// SPDX-License-Identifier: Apache-2.0
#include "store/resource_limits.h"

#include <string>
#include <string_view>

namespace sockmesh {
namespace {

Status within(std::size_t value, std::size_t limit, std::string_view setting,
              std::string_view what) {
  if (value <= limit) return {};
  return Error("would make " + std::to_string(value) + " " + std::string(what) + ", and limits." +
               std::string(setting) + " is " + std::to_string(limit));
}

}  // namespace

Status ResourceLimits::checkSize(std::size_t bytes) const {
  if (bytes <= resourceBytes) return {};
  return Error("has " + std::to_string(bytes) + " bytes, and limits.max_resource_bytes is " +
               std::to_string(resourceBytes));
}

Status ResourceLimits::checkCount(std::size_t ofType) const {
  return within(ofType, resources, "max_resources", "resources of its type");
}

Status ResourceLimits::checkEndpoints(std::size_t all) const {
  return within(all, endpoints, "max_endpoints", "endpoints");
}

}  // namespace sockmesh
