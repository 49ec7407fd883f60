// SPDX-License-Identifier: Apache-2.0
#include "lb/policy/policy.h"

namespace sockmesh {

std::uint32_t Policy::cellCount(const TableShape&) const {
  return 0;
}

std::vector<double> Policy::shares(const LbGroup&, std::size_t) const {
  return {};
}

std::optional<std::uint32_t> Policy::pick(const LbGroup&, std::uint64_t) const {
  return std::nullopt;
}

std::uint64_t Policy::firstCursor(std::uint32_t) const {
  return 0;
}

GroupCursor Policy::readCursor(std::uint64_t) const {
  return {};
}

std::vector<std::string> Policy::parameters(const LbGroup&) const {
  return {};
}

std::vector<std::string> Policy::notes(const LbGroup&) const {
  return {};
}

void Policy::describeCells(const LbGroup&, const CellVisitor&) const {}

}  // namespace sockmesh
