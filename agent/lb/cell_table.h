// SPDX-License-Identifier: Apache-2.0
// Making, reading and sharing CellTables.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/breather.h"
#include "lb/tables.h"

namespace sockmesh {

// A table of words, four a cell; size is the number of words.
CellTable wordTable(std::span<const std::uint32_t> words);
std::uint32_t wordAt(const CellTable& table, std::size_t index);

// Vose's alias table over `weights`: cell i is entry i. There is at least one weight. Weights are
// finite and >= 0, and their sum is > 0. They are first rounded to multiples of sum / (n * 2^32),
// where the largest takes up the rest. The table meets the rounded weights exactly. So the share of
// an entry is wrong by less than 1 / (n * 2^32) (that of the largest by less than 2^-33), and an
// entry of weight 0 is never chosen.
CellTable aliasTable(std::span<const double> weights);

// The share of each of `entries` indices in a table of alias cells or of words. An index beyond
// `entries` (in a table that was read back from a damaged map) has no share, and the sum is then
// less than 1.
std::vector<double> aliasShares(const CellTable& table, std::size_t entries);
std::vector<double> wordShares(const CellTable& table, std::size_t entries);

// Keeps one object for equal content. It does not keep a table alive.
class CellPool {
 public:
  std::shared_ptr<const CellTable> share(CellTable table);

 private:
  void dropExpired();

  std::unordered_multimap<std::uint64_t, std::weak_ptr<const CellTable>> byHash_;
  std::size_t dropAt_ = 1024;
};

// Whether two tables have equal content. Either may be null.
bool sameContent(const std::shared_ptr<const CellTable>& a,
                 const std::shared_ptr<const CellTable>& b);
bool sameContent(const std::shared_ptr<const CellTable>& a,
                 const std::shared_ptr<const CellTable>& b, Breather& breathe);

}  // namespace sockmesh
