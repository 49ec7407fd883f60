#include "datapath/paged_table.h"

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

Status linkPage(int outerFd, std::uint32_t number, int pageFd) {
  std::uint32_t id = 0;
  // Reading an array-of-maps gives the id of the page that is there.
  if (bpf_map_lookup_elem(outerFd, &number, &id) == 0) return {};
  if (bpf_map_update_elem(outerFd, &number, &pageFd, BPF_ANY) != 0) {
    return Error::fromErrno("adding page " + std::to_string(number), errno);
  }
  return {};
}

Result<UniqueFd> createPage(const std::string& directory, const std::string& name,
                            std::uint32_t number, int outerFd, const PageFormat& format) {
  LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_MMAPABLE);
  if (format.btfFd >= 0) {
    options.btf_fd = static_cast<std::uint32_t>(format.btfFd);
    options.btf_key_type_id = format.btfKeyTypeId;
    options.btf_value_type_id = format.btfValueTypeId;
  }
  const std::string where = name + " page " + std::to_string(number);
  UniqueFd fd(bpf_map_create(BPF_MAP_TYPE_ARRAY, name.substr(0, 15).c_str(), 4, format.valueSize,
                             format.entries, &options));
  if (!fd.valid()) return Error::fromErrno(where, errno);
  const std::string folder = pagesOf(directory);
  if (mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) return Error::fromErrno(folder, errno);
  const std::string path = folder + "/" + name + "-" + std::to_string(number);
  if (bpf_obj_pin(fd.get(), path.c_str()) != 0) return Error::fromErrno("pinning " + path, errno);
  if (auto linked = linkPage(outerFd, number, fd.get()); !linked) {
    const Error error = linked.error().in(where);
    unlink(path.c_str());
    return error;
  }
  return fd;
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
