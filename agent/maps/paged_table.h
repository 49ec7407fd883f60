// SPDX-License-Identifier: Apache-2.0
// Userspace side of a paged table (see sockmesh_abi.h): an outer array-of-maps whose pages are
// mmap-able arrays. Pages are pinned beside the outer map as DIR/pages/NAME-N (bpffs reserves names
// with dots). So a restarted agent and the CLI reach them without CAP_SYS_ADMIN, which a lookup by
// id needs.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <unordered_set>
#include <vector>

#include "base/breather.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "maps/mapped_memory.h"

namespace sockmesh {

// What is needed to create a page. BTF makes `bpftool map dump` readable.
struct PageFormat {
  std::uint32_t valueSize = 0;
  std::uint32_t entries = 0;
  int btfFd = -1;  // not owned; -1: none
  std::uint32_t btfKeyTypeId = 0;
  std::uint32_t btfValueTypeId = 0;
};

// Creates the pages `numbers` of table `name`, pins them in `directory` and puts them into the
// outer map: from then on the programs reach them. Putting pages there takes a grace period of the
// kernel (about 8 ms), one for all of them. The result is the pages' descriptors, in the same
// order; after an Error none of them is there.
Result<std::vector<UniqueFd>> createPages(const std::string& directory, const std::string& name,
                                          const std::vector<std::uint32_t>& numbers, int outerFd,
                                          const PageFormat& format);

// Pages that were made ahead of need, elsewhere.
class PageSource {
 public:
  virtual ~PageSource() = default;
  // Requests these pages. Pages that exist or are in progress are left out. Returns at once.
  // `outerFd` and `format` stay valid as long as this.
  virtual void make(const std::string& directory, const std::string& name,
                    const std::vector<std::uint32_t>& numbers, int outerFd,
                    const PageFormat& format) = 0;
  // A page that was requested. Waits for it if it is in progress. An invalid descriptor if it was
  // not requested, or if it failed.
  virtual UniqueFd take(const std::string& name, std::uint32_t number) = 0;
};

// The pages of `name` that are pinned in `directory`, by number.
Result<std::map<std::uint32_t, UniqueFd>> openPages(const std::string& directory,
                                                    const std::string& name);

// How many pages the outer map has room for.
std::uint32_t maxPages(int outerFd);

// Puts a pinned page into the outer map again, after a crash between the two steps.
Status linkPage(int outerFd, std::uint32_t number, int pageFd);

template <typename T, std::uint32_t Bits>
class PagedTable {
 public:
  static constexpr std::uint32_t kPageEntries = 1U << Bits;

  PagedTable() = default;

  // Opens what is pinned. With kReadOnly nothing is created and ensure() fails.
  static Result<PagedTable> open(std::string directory, std::string name, UniqueFd outer,
                                 MapAccess access, PageFormat format = {}) {
    PagedTable table;
    auto pages = openPages(directory, name);
    if (!pages) return pages.error();
    for (auto& [number, fd] : *pages) {
      if (access == MapAccess::kReadWrite) {
        if (auto linked = linkPage(outer.get(), number, fd.get()); !linked) return linked.error();
      }
      auto mapped = MappedArray<T>::map(fd.get(), kPageEntries, access);
      if (!mapped) return mapped.error().in(name);
      table.pages_.emplace(number, std::move(mapped).value());
    }
    table.directory_ = std::move(directory);
    table.name_ = std::move(name);
    table.limit_ = maxPages(outer.get());
    table.outer_ = std::move(outer);
    table.access_ = access;
    table.format_ = format;
    table.format_.valueSize = sizeof(T);
    table.format_.entries = kPageEntries;
    return table;
  }

  // Makes the page of `index` exist. Fails with E2BIG beyond the outer map's size, ENOMEM, ...
  Status ensure(std::uint32_t index) {
    const std::uint32_t number = index >> Bits;
    Breather never;
    return pages_.contains(number) ? Status() : create({number}, never);
  }

  // Makes the pages of all indices below `end` exist, the missing ones at once.
  Status reserve(std::uint32_t end, Breather& breathe) {
    const auto missing = missingBelow(end);
    return missing.empty() ? Status() : create(missing, breathe);
  }

  // From now on, pages come from there first. `source` outlives the table.
  void makeAhead(PageSource* source) { source_ = source; }
  // If less than half of the last page is left behind `end`, requests the next page.
  void prepare(std::uint32_t end) { makeBelow(std::uint64_t{end} + kPageEntries / 2); }
  // Has the missing pages of indices below `end` made meanwhile; false where none is missing.
  bool makeBelow(std::uint64_t end) {
    if (source_ == nullptr) return false;
    const auto missing = missingBelow(end);
    if (!missing.empty()) source_->make(directory_, name_, missing, outer_.get(), format_);
    return !missing.empty();
  }

  // The entry in place, or null if there is no page.
  T* at(std::uint32_t index) const {
    const auto found = pages_.find(index >> Bits);
    return found == pages_.end() ? nullptr : &found->second[index & (kPageEntries - 1)];
  }

  // Whether this process made the page of `index`. Entries that were not written are zero then.
  bool isFresh(std::uint32_t index) const { return fresh_.contains(index >> Bits); }

  // Page numbers that exist, ascending.
  const std::map<std::uint32_t, MappedArray<T>>& pages() const { return pages_; }
  const std::string& name() const { return name_; }

 private:
  std::vector<std::uint32_t> missingBelow(std::uint64_t end) const {
    const std::uint64_t wanted = std::min<std::uint64_t>((end + kPageEntries - 1) >> Bits, limit_);
    // Usually there are no gaps, and the existing pages need no walk.
    const bool whole = !pages_.empty() && pages_.rbegin()->first + 1 == pages_.size();
    std::vector<std::uint32_t> missing;
    for (auto number = whole ? static_cast<std::uint32_t>(pages_.size()) : 0; number < wanted;
         ++number) {
      if (!pages_.contains(number)) missing.push_back(number);
    }
    return missing;
  }

  Status create(std::vector<std::uint32_t> numbers, Breather& breathe) {
    if (access_ == MapAccess::kReadOnly) return Error(name_ + " is read-only");
    if (source_ != nullptr) {
      std::vector<std::uint32_t> left;
      for (const std::uint32_t number : numbers) {
        breathe();
        const UniqueFd made = source_->take(name_, number);
        if (!made.valid()) {
          left.push_back(number);
        } else if (auto entered = enter(number, made.get()); !entered) {
          return entered;
        }
      }
      numbers = std::move(left);
    }
    if (numbers.empty()) return {};
    auto made = createPages(directory_, name_, numbers, outer_.get(), format_);
    if (!made) return made.error();
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      breathe();
      if (auto entered = enter(numbers[i], (*made)[i].get()); !entered) return entered;
    }
    return {};
  }

  Status enter(std::uint32_t number, int fd) {
    auto mapped = MappedArray<T>::map(fd, kPageEntries, access_);
    if (!mapped) return mapped.error().in(name_);
    pages_.emplace(number, std::move(mapped).value());
    fresh_.insert(number);
    return {};
  }

  std::string directory_;
  std::string name_;
  PageSource* source_ = nullptr;
  UniqueFd outer_;
  std::uint32_t limit_ = 0;  // pages that the outer map has room for
  MapAccess access_ = MapAccess::kReadOnly;
  PageFormat format_;
  std::map<std::uint32_t, MappedArray<T>> pages_;
  std::unordered_set<std::uint32_t> fresh_;
};

}  // namespace sockmesh
