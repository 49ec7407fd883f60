// SPDX-License-Identifier: Apache-2.0
#include "lb/cell_table.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "lb/hash.h"

namespace sockmesh {
namespace {

constexpr std::uint64_t kWhole = std::uint64_t{1} << 32;  // a cell's worth of probability
constexpr std::uint32_t kAlways = UINT32_MAX;

// `weights` in units of which a cell holds kWhole: they sum to n * kWhole exactly.
std::vector<std::uint64_t> toUnits(std::span<const double> weights) {
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  const std::uint64_t total = weights.size() * kWhole;
  std::vector<std::uint64_t> units;
  units.reserve(weights.size());
  std::uint64_t given = 0;
  for (const double weight : weights) {
    units.push_back(
        static_cast<std::uint64_t>(std::round(weight / sum * static_cast<double>(total))));
    given += units.back();
  }
  // Unsigned wrap-around is intended: the difference may be negative.
  *std::max_element(units.begin(), units.end()) += total - given;
  return units;
}

sm_cell aliasCell(std::uint64_t units, std::uint32_t here, std::uint32_t other) {
  sm_cell cell{};
  cell.alias.threshold = units >= kWhole ? kAlways : static_cast<std::uint32_t>(units);
  cell.alias.here = here;
  cell.alias.other = units >= kWhole ? here : other;
  return cell;
}

}  // namespace

CellTable wordTable(std::span<const std::uint32_t> words) {
  CellTable table;
  table.size = static_cast<std::uint32_t>(words.size());
  table.cells.resize((words.size() + 3) / 4);
  for (std::size_t i = 0; i < words.size(); ++i) table.cells[i / 4].words[i % 4] = words[i];
  return table;
}

std::uint32_t wordAt(const CellTable& table, std::size_t index) {
  return table.cells[index / 4].words[index % 4];
}

CellTable aliasTable(std::span<const double> weights) {
  std::vector<std::uint64_t> units = toUnits(weights);
  CellTable table;
  table.size = static_cast<std::uint32_t>(units.size());
  table.cells.resize(units.size());
  std::vector<std::uint32_t> small;
  std::vector<std::uint32_t> large;
  for (std::uint32_t i = 0; i < units.size(); ++i) {
    (units[i] < kWhole ? small : large).push_back(i);
  }
  // The sum is exact, so that a small entry always finds a large one.
  while (!small.empty()) {
    const std::uint32_t less = small.back();
    const std::uint32_t more = large.back();
    small.pop_back();
    table.cells[less] = aliasCell(units[less], less, more);
    units[more] -= kWhole - units[less];
    if (units[more] < kWhole) {
      large.pop_back();
      small.push_back(more);
    }
  }
  for (const std::uint32_t whole : large) table.cells[whole] = aliasCell(kWhole, whole, whole);
  return table;
}

std::vector<double> aliasShares(const CellTable& table, std::size_t entries) {
  std::vector<double> shares(entries, 0.0);
  const auto add = [&](std::uint32_t index, double part) {
    if (index < entries) shares[index] += part / table.size;
  };
  for (std::size_t i = 0; i < std::min<std::size_t>(table.size, table.cells.size()); ++i) {
    const auto& alias = table.cells[i].alias;
    const double here =
        alias.threshold == kAlways ? 1.0 : alias.threshold / static_cast<double>(kWhole);
    add(alias.here, here);
    add(alias.other, 1.0 - here);
  }
  return shares;
}

std::vector<double> wordShares(const CellTable& table, std::size_t entries) {
  std::vector<double> shares(entries, 0.0);
  for (std::size_t i = 0; i < std::min<std::size_t>(table.size, table.cells.size() * 4); ++i) {
    const std::uint32_t index = wordAt(table, i);
    if (index < entries) shares[index] += 1.0 / table.size;
  }
  return shares;
}

bool sameContent(const std::shared_ptr<const CellTable>& a,
                 const std::shared_ptr<const CellTable>& b) {
  Breather never;
  return sameContent(a, b, never);
}

bool sameContent(const std::shared_ptr<const CellTable>& a,
                 const std::shared_ptr<const CellTable>& b, Breather& breathe) {
  constexpr std::size_t kPart = 4096;
  if (a == b) return true;
  if (!a || !b || a->size != b->size || a->cells.size() != b->cells.size()) return false;
  for (std::size_t from = 0; from < a->cells.size(); from += kPart) {
    const std::size_t count = std::min(kPart, a->cells.size() - from);
    if (std::memcmp(&a->cells[from], &b->cells[from], count * sizeof(sm_cell)) != 0) return false;
    breathe();
  }
  return true;
}

std::shared_ptr<const CellTable> CellPool::share(CellTable table) {
  table.contentHash = xxHash64(
      {reinterpret_cast<const char*>(table.cells.data()), table.cells.size() * sizeof(sm_cell)},
      table.size);
  auto made = std::make_shared<const CellTable>(std::move(table));
  const auto [first, last] = byHash_.equal_range(made->contentHash);
  for (auto it = first; it != last; ++it) {
    auto known = it->second.lock();
    if (known && sameContent(known, made)) return known;
  }
  if (byHash_.size() >= dropAt_) dropExpired();
  byHash_.emplace(made->contentHash, made);
  return made;
}

void CellPool::dropExpired() {
  std::erase_if(byHash_, [](const auto& entry) { return entry.second.expired(); });
  dropAt_ = std::max<std::size_t>(1024, byHash_.size() * 2);
}

}  // namespace sockmesh
