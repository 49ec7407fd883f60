// SPDX-License-Identifier: Apache-2.0
// Ranges of cells (or groups) in the kernel, shared by content and counted. What two services have
// in common exists once. Control thread.
#pragma once

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "datapath/allocators.h"

namespace sockmesh {

// T is trivially copyable and compared by its bytes.
template <typename T>
class SharedRanges {
 public:
  using Write = std::function<Status(std::uint32_t first, const std::vector<T>& run)>;

  SharedRanges(std::uint32_t first, std::uint32_t limit, Write write)
      : ranges_(first, limit), write_(std::move(write)) {}

  // The first index of a range with this content. The range is written if it does not exist yet.
  // Call release() once for each acquire(). An empty range is index 0 and needs no release. ENOSPC:
  // full.
  Result<std::uint32_t> acquire(const std::vector<T>& run) {
    if (run.empty()) return 0;
    if (Entry* known = find(run)) {
      ++known->references;
      return known->first;
    }
    const auto first = ranges_.allocate(static_cast<std::uint32_t>(run.size()));
    if (!first) return Error::fromErrno("table of selections", ENOSPC);
    if (auto written = write_(*first, run); !written) {
      ranges_.release(*first, static_cast<std::uint32_t>(run.size()));
      return written.error();
    }
    add(*first, run);
    return *first;
  }

  // Takes over a range that the kernel holds already. A known range gets one more reference. False:
  // it overlaps another range, so the kernel's tables are broken.
  bool adopt(std::uint32_t first, const std::vector<T>& run) {
    if (run.empty()) return true;
    if (const auto known = hashOf_.find(first); known != hashOf_.end()) {
      Entry* entry = find(run);
      if (entry == nullptr || entry->first != first) return false;
      ++entry->references;
      return true;
    }
    if (!ranges_.take(first, static_cast<std::uint32_t>(run.size()))) return false;
    add(first, run);
    return true;
  }

  // Gives one reference back. The last one frees the range, so no program may still read it.
  // Returns the content of a freed range, so that the caller can release what the content refers
  // to.
  std::optional<std::vector<T>> release(std::uint32_t first) {
    const auto hash = hashOf_.find(first);
    if (hash == hashOf_.end()) return std::nullopt;
    auto [from, to] = byHash_.equal_range(hash->second);
    for (auto it = from; it != to; ++it) {
      if (it->second.first != first) continue;
      if (--it->second.references > 0) return std::nullopt;
      auto run = std::move(it->second.run);
      ranges_.release(first, static_cast<std::uint32_t>(run.size()));
      byHash_.erase(it);
      hashOf_.erase(hash);
      return run;
    }
    return std::nullopt;
  }

  bool contains(std::uint32_t first) const { return hashOf_.contains(first); }
  std::uint32_t references(std::uint32_t first) const {
    const auto hash = hashOf_.find(first);
    if (hash == hashOf_.end()) return 0;
    const auto [from, to] = byHash_.equal_range(hash->second);
    const auto found =
        std::find_if(from, to, [&](const auto& entry) { return entry.second.first == first; });
    return found == to ? 0 : found->second.references;
  }

  // As RangeAllocator's.
  std::uint32_t extentAfter(std::size_t length) const { return ranges_.extentAfter(length); }
  std::size_t runs() const { return hashOf_.size(); }

 private:
  struct Entry {
    std::uint32_t first = 0;
    std::uint32_t references = 0;
    std::vector<T> run;
  };

  static std::string_view bytesOf(const std::vector<T>& run) {
    return {reinterpret_cast<const char*>(run.data()), run.size() * sizeof(T)};
  }

  Entry* find(const std::vector<T>& run) {
    const std::string_view bytes = bytesOf(run);
    auto [from, to] = byHash_.equal_range(std::hash<std::string_view>{}(bytes));
    for (auto it = from; it != to; ++it) {
      if (bytesOf(it->second.run) == bytes) return &it->second;
    }
    return nullptr;
  }

  void add(std::uint32_t first, const std::vector<T>& run) {
    const std::size_t hash = std::hash<std::string_view>{}(bytesOf(run));
    byHash_.emplace(hash, Entry{first, 1, run});
    hashOf_.emplace(first, hash);
  }

  RangeAllocator ranges_;
  Write write_;
  std::unordered_multimap<std::size_t, Entry> byHash_;
  std::unordered_map<std::uint32_t, std::size_t> hashOf_;  // by first index
};

}  // namespace sockmesh
