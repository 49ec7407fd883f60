// SPDX-License-Identifier: Apache-2.0
#include "maps/paged_table.h"

#include <bpf/bpf.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <filesystem>

namespace sockmesh {
namespace {

std::string pagesOf(const std::string& directory) {
  return directory + "/pages";
}

}  // namespace

std::uint32_t maxPages(int outerFd) {
  bpf_map_info info{};
  std::uint32_t length = sizeof(info);
  return bpf_obj_get_info_by_fd(outerFd, &info, &length) == 0 ? info.max_entries : 0;
}

Status linkPage(int outerFd, std::uint32_t number, int pageFd) {
  std::uint32_t id = 0;
  // Reading an array-of-maps gives the id of the page that is there.
  if (bpf_map_lookup_elem(outerFd, &number, &id) == 0) return {};
  if (bpf_map_update_elem(outerFd, &number, &pageFd, BPF_ANY) != 0) {
    return Error::fromErrno("adding page " + std::to_string(number), errno);
  }
  return {};
}

namespace {

std::string pathOf(const std::string& directory, const std::string& name, std::uint32_t number) {
  return pagesOf(directory) + "/" + name + "-" + std::to_string(number);
}

Result<UniqueFd> pinnedPage(const std::string& path, const std::string& name,
                            const PageFormat& format) {
  LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_MMAPABLE);
  if (format.btfFd >= 0) {
    options.btf_fd = static_cast<std::uint32_t>(format.btfFd);
    options.btf_key_type_id = format.btfKeyTypeId;
    options.btf_value_type_id = format.btfValueTypeId;
  }
  UniqueFd fd(bpf_map_create(BPF_MAP_TYPE_ARRAY, name.substr(0, 15).c_str(), 4, format.valueSize,
                             format.entries, &options));
  if (!fd.valid()) return Error::fromErrno(path, errno);
  if (bpf_obj_pin(fd.get(), path.c_str()) != 0) return Error::fromErrno("pinning " + path, errno);
  return fd;
}

// One system call and one grace period for all pages, or one for each page if the kernel has no
// such batches.
Status linkPages(int outerFd, std::vector<std::uint32_t> numbers, std::vector<int> fds) {
  auto count = static_cast<std::uint32_t>(numbers.size());
  LIBBPF_OPTS(bpf_map_batch_opts, options);
  if (count > 1 &&
      bpf_map_update_batch(outerFd, numbers.data(), fds.data(), &count, &options) == 0) {
    return {};
  }
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    if (auto linked = linkPage(outerFd, numbers[i], fds[i]); !linked) return linked;
  }
  return {};
}

}  // namespace

Result<std::vector<UniqueFd>> createPages(const std::string& directory, const std::string& name,
                                          const std::vector<std::uint32_t>& numbers, int outerFd,
                                          const PageFormat& format) {
  const std::string folder = pagesOf(directory);
  if (mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) return Error::fromErrno(folder, errno);
  std::vector<UniqueFd> pages;
  std::vector<int> fds;
  const auto failed = [&](const Error& error) {
    for (std::size_t i = 0; i < pages.size(); ++i) {
      bpf_map_delete_elem(outerFd, &numbers[i]);
      unlink(pathOf(directory, name, numbers[i]).c_str());
    }
    return error.in(name);
  };
  for (const std::uint32_t number : numbers) {
    auto page = pinnedPage(pathOf(directory, name, number), name, format);
    if (!page) return failed(page.error());
    fds.push_back(page->get());
    pages.push_back(std::move(page).value());
  }
  if (auto linked = linkPages(outerFd, numbers, fds); !linked) return failed(linked.error());
  return pages;
}

Result<std::map<std::uint32_t, UniqueFd>> openPages(const std::string& directory,
                                                    const std::string& name) {
  std::map<std::uint32_t, UniqueFd> pages;
  std::error_code failed;
  for (const auto& entry : std::filesystem::directory_iterator(pagesOf(directory), failed)) {
    const std::string file = entry.path().filename();
    if (!file.starts_with(name + "-")) continue;
    const char* digits = file.data() + name.size() + 1;
    std::uint32_t number = 0;
    const auto [end, status] = std::from_chars(digits, file.data() + file.size(), number);
    if (status != std::errc() || end != file.data() + file.size()) continue;
    UniqueFd fd(bpf_obj_get(entry.path().c_str()));
    if (!fd.valid()) return Error::fromErrno(entry.path().string(), errno);
    pages.emplace(number, std::move(fd));
  }
  return pages;
}

}  // namespace sockmesh
