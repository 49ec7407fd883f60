// SPDX-License-Identifier: Apache-2.0
#include "base/suggestion.h"

#include <algorithm>
#include <cctype>
#include <numeric>
#include <utility>

namespace sockmesh {
namespace {

constexpr std::size_t kMaxDistance = 3;
constexpr std::size_t kMaxLength = 256;  // of what can be a misspelt name

std::string withoutStyle(std::string_view name) {
  std::string out;
  for (const char c : name) {
    if (c == '-' || c == '_') continue;
    out += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return out;
}

// How many characters to insert, remove, replace or swap with their neighbour.
std::size_t editDistance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1);
  std::vector<std::size_t> row(b.size() + 1);
  std::vector<std::size_t> next(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    next[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = row[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      next[j] = std::min({replaced, row[j] + 1, next[j - 1] + 1});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) next[j] = std::min(next[j], before[j - 2] + 1);
    }
    std::swap(before, row);
    std::swap(row, next);
  }
  return row.back();
}

const std::string* byDistance(std::string_view given, const std::vector<std::string>& names) {
  const std::string* best = nullptr;
  // If a third of a short name differs, it is another name.
  std::size_t limit = std::min(kMaxDistance, given.size() / 3) + 1;
  for (const std::string& name : names) {
    const std::size_t longer = std::max(given.size(), name.size());
    if (longer - std::min(given.size(), name.size()) >= limit) continue;
    const std::size_t distance = editDistance(given, name);
    if (distance >= limit) continue;
    limit = distance;
    best = &name;
  }
  return best;
}

}  // namespace

std::optional<std::string> mostSimilar(std::string_view given,
                                       const std::vector<std::string>& names) {
  if (given.empty() || given.size() > kMaxLength) return std::nullopt;
  const std::string plain = withoutStyle(given);
  const auto same = std::ranges::find(names, plain, withoutStyle);
  if (same != names.end() && !plain.empty()) return *same;
  if (const std::string* best = byDistance(given, names)) return *best;
  const auto begins = [&](const std::string& name) { return name.starts_with(given); };
  const auto only = std::ranges::find_if(names, begins);
  if (given.size() < 2 || std::ranges::count_if(names, begins) != 1) return std::nullopt;
  return *only;
}

std::string didYouMean(std::string_view given, const std::vector<std::string>& names) {
  const auto best = mostSimilar(given, names);
  return best ? ", did you mean " + *best + "?" : "";
}

}  // namespace sockmesh
