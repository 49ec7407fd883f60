// Userspace side of a paged table (see sockmesh_abi.h): an outer array-of-maps whose pages are
// mmap-able arrays. Pages are pinned beside the outer map as DIR/pages/NAME-N (bpffs reserves names
// with dots), so that a restarted agent and the CLI reach them without the right to look maps up by
// id (CAP_SYS_ADMIN).
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "datapath/mapped_memory.h"

namespace sockmesh {

// What a page's creation needs to know of the table; BTF makes `bpftool map dump` readable.
struct PageFormat {
  std::uint32_t valueSize = 0;
  std::uint32_t entries = 0;
  int btfFd = -1;  // not owned; -1: none
  std::uint32_t btfKeyTypeId = 0;
  std::uint32_t btfValueTypeId = 0;
};

// Creates page `number` of table `name`, pins it in `directory` and puts it into the outer map:
// from then on the programs reach it. The result is the page's descriptor.
Result<UniqueFd> createPage(const std::string& directory, const std::string& name,
                            std::uint32_t number, int outerFd, const PageFormat& format);

// The pages of `name` that are pinned in `directory`, by number.
Result<std::map<std::uint32_t, UniqueFd>> openPages(const std::string& directory,
                                                    const std::string& name);

// Puts a pinned page into the outer map again where a crash came between the two.
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
    if (pages_.contains(number)) return {};
    if (access_ == MapAccess::kReadOnly) return Error(name_ + " is read-only");
    auto fd = createPage(directory_, name_, number, outer_.get(), format_);
    if (!fd) return fd.error();
    auto mapped = MappedArray<T>::map(fd->get(), kPageEntries, access_);
    if (!mapped) return mapped.error().in(name_);
    pages_.emplace(number, std::move(mapped).value());
    return {};
  }

  // The entry in place, or null where no page is.
  T* at(std::uint32_t index) const {
    const auto found = pages_.find(index >> Bits);
    return found == pages_.end() ? nullptr : &found->second[index & (kPageEntries - 1)];
  }

  // Page numbers that exist, ascending.
  const std::map<std::uint32_t, MappedArray<T>>& pages() const { return pages_; }
  const std::string& name() const { return name_; }

 private:
  std::string directory_;
  std::string name_;
  UniqueFd outer_;
  MapAccess access_ = MapAccess::kReadOnly;
  PageFormat format_;
  std::map<std::uint32_t, MappedArray<T>> pages_;
};

}  // namespace sockmesh
