// SPDX-License-Identifier: Apache-2.0
#include "decode/dns_names.h"

#include <fmt/format.h>

namespace sockmesh {
namespace {

constexpr std::string_view kBy = " by DNS ";

}  // namespace

std::string resolvedName(const std::string& cluster, std::uint64_t hash) {
  return fmt::format("{}{}{:016x}", cluster, kBy, hash);
}

bool isResolvedName(std::string_view name) {
  return name.find(kBy) != std::string_view::npos;
}

}  // namespace sockmesh
