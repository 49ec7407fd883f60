// SPDX-License-Identifier: Apache-2.0
// Ranges of cells (or groups) in the kernel, shared by content and counted. What two services have
// in common exists once. Control thread.
#pragma once

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/breather.h"
#include "base/result.h"
#include "writer/allocators.h"

namespace sockmesh {

// T is trivially copyable and compared by its bytes.
template <typename T>
class SharedRanges {
 public:
  using Content = std::shared_ptr<const std::vector<T>>;
  using Write = std::function<Status(std::uint32_t first, std::span<const T> values)>;

  // How many entries are hashed, compared or written between two breaths: some ten microseconds.
  static constexpr std::size_t kPart = 65536 / sizeof(T);

  SharedRanges(std::uint32_t first, std::uint32_t limit, Write write)
      : ranges_(first, limit), write_(std::move(write)) {}

  // The first index of a range with this content, which is kept as it is and never copied. The
  // range is written, part by part, if it does not exist yet. Call release() once for each
  // acquire(). An empty range is index 0 and needs no release. ENOSPC: full. Where `breathe`
  // pauses, release() may be called, and nothing else.
  Result<std::uint32_t> acquire(Content run, Breather& breathe) {
    if (run->empty()) return 0;
    const std::size_t hash = hashOf(*run, breathe);
    if (Entry* known = find(hash, *run, breathe)) {
      ++known->references;
      return known->first;
    }
    const auto first = ranges_.allocate(lengthOf(*run));
    if (!first) return Error::fromErrno("table of selections", ENOSPC);
    if (auto written = write(*first, *run, breathe); !written) {
      ranges_.release(*first, lengthOf(*run));
      return written.error();
    }
    add(*first, std::move(run), hash);
    return *first;
  }

  // Adopting: `run` is in the kernel at `first`. False: another content was adopted there before,
  // or it overlaps another range, so the kernel's tables are broken.
  bool adopt(std::uint32_t first, Content run) {
    if (run->empty()) return true;
    if (Entry* known = at(first)) {
      if (!sameBytes(*known->run, *run)) return false;
      ++known->references;
      return true;
    }
    if (!ranges_.take(first, lengthOf(*run))) return false;
    Breather never;
    const std::size_t hash = hashOf(*run, never);
    add(first, std::move(run), hash);
    return true;
  }

  // Gives one reference back. The last one frees the range, so no program may still read it.
  // Returns the content of a freed range, so that the caller can release what the content refers
  // to; otherwise null.
  Content release(std::uint32_t first) {
    const auto hash = hashAt_.find(first);
    if (hash == hashAt_.end()) return nullptr;
    const auto it = entryOf(hash->second, first);
    if (it == byHash_.end() || --it->second.references > 0) return nullptr;
    Content run = std::move(it->second.run);
    ranges_.release(first, lengthOf(*run));
    byHash_.erase(it);
    hashAt_.erase(hash);
    return run;
  }

  bool contains(std::uint32_t first) const { return hashAt_.contains(first); }
  std::uint32_t references(std::uint32_t first) {
    const Entry* known = at(first);
    return known == nullptr ? 0 : known->references;
  }

  // As RangeAllocator's.
  std::uint32_t extentAfter(std::size_t length) const { return ranges_.extentAfter(length); }
  std::size_t runs() const { return hashAt_.size(); }

 private:
  struct Entry {
    std::uint32_t first = 0;
    std::uint32_t references = 0;
    Content run;
  };
  using ByHash = std::unordered_multimap<std::size_t, Entry>;

  static std::uint32_t lengthOf(const std::vector<T>& run) {
    return static_cast<std::uint32_t>(run.size());
  }

  // Calls `visit` with the parts of `run`, in order, until it returns false.
  template <typename Visit>
  static void eachPart(const std::vector<T>& run, Breather& breathe, const Visit& visit) {
    for (std::size_t from = 0; from < run.size(); from += kPart) {
      if (!visit(from, std::span(run).subspan(from, std::min(kPart, run.size() - from)))) return;
      breathe();
    }
  }

  static std::size_t hashOf(const std::vector<T>& run, Breather& breathe) {
    std::size_t hash = run.size();
    eachPart(run, breathe, [&hash](std::size_t, std::span<const T> part) {
      const std::string_view bytes(reinterpret_cast<const char*>(part.data()), part.size_bytes());
      hash = hash * 1099511628211ULL ^ std::hash<std::string_view>{}(bytes);
      return true;
    });
    return hash;
  }

  static bool sameBytes(const std::vector<T>& a, const std::vector<T>& b) {
    Breather never;
    return sameBytes(a, b, never);
  }
  static bool sameBytes(const std::vector<T>& a, const std::vector<T>& b, Breather& breathe) {
    bool same = a.size() == b.size();
    if (!same || a.data() == b.data()) return same;
    eachPart(a, breathe, [&](std::size_t from, std::span<const T> part) {
      same = std::memcmp(part.data(), b.data() + from, part.size_bytes()) == 0;
      return same;
    });
    return same;
  }

  Status write(std::uint32_t first, const std::vector<T>& run, Breather& breathe) {
    Status done;
    eachPart(run, breathe, [&](std::size_t from, std::span<const T> part) {
      done = write_(first + static_cast<std::uint32_t>(from), part);
      return done.ok();
    });
    return done;
  }

  typename ByHash::iterator entryOf(std::size_t hash, std::uint32_t first) {
    const auto [from, to] = byHash_.equal_range(hash);
    const auto found =
        std::find_if(from, to, [&](const auto& entry) { return entry.second.first == first; });
    return found == to ? byHash_.end() : found;
  }

  // The range that begins at `first`, or null.
  Entry* at(std::uint32_t first) {
    const auto hash = hashAt_.find(first);
    if (hash == hashAt_.end()) return nullptr;
    const auto found = entryOf(hash->second, first);
    return found == byHash_.end() ? nullptr : &found->second;
  }

  // A range may be released while it is compared. Its content stays as long as that takes.
  Entry* find(std::size_t hash, const std::vector<T>& run, Breather& breathe) {
    std::vector<std::pair<std::uint32_t, Content>> candidates;
    const auto [from, to] = byHash_.equal_range(hash);
    for (auto it = from; it != to; ++it) candidates.emplace_back(it->second.first, it->second.run);
    for (const auto& [first, content] : candidates) {
      if (!sameBytes(*content, run, breathe)) continue;
      Entry* known = at(first);
      if (known != nullptr && known->run == content) return known;
    }
    return nullptr;
  }

  void add(std::uint32_t first, Content run, std::size_t hash) {
    byHash_.emplace(hash, Entry{first, 1, std::move(run)});
    hashAt_.emplace(first, hash);
  }

  RangeAllocator ranges_;
  Write write_;
  ByHash byHash_;
  std::unordered_map<std::uint32_t, std::size_t> hashAt_;  // by first index
};

}  // namespace sockmesh
