// SPDX-License-Identifier: Apache-2.0
#include "datapath/map_pins.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace sockmesh {
namespace {

bool exists(const std::string& path) {
  return access(path.c_str(), F_OK) == 0;
}

Status makeFolder(const std::string& path) {
  if (mkdir(path.c_str(), 0700) == 0 || errno == EEXIST) return {};
  return Error::fromErrno(path, errno);
}

template <typename Table>
Status restorePages(const std::string& folder, const bpf_object* object, const Table& table) {
  const bpf_map* outer = bpf_object__find_map_by_name(object, table.name().c_str());
  for (const auto& [number, page] : table.pages()) {
    const std::string path = folder + "/" + table.name() + "-" + std::to_string(number);
    if (exists(path)) continue;
    std::uint32_t id = 0;
    if (bpf_map_lookup_elem(bpf_map__fd(outer), &number, &id) != 0) {
      return Error::fromErrno(path, errno);
    }
    const UniqueFd fd(bpf_map_get_fd_by_id(id));
    if (!fd.valid() || bpf_obj_pin(fd.get(), path.c_str()) != 0) {
      return Error::fromErrno("pinning " + path, errno);
    }
  }
  return {};
}

}  // namespace

bool mapPinsMissing(const PinPath& pins) {
  return !exists(pins.links()) || !exists(pins.pages()) ||
         std::any_of(kMapNames.begin(), kMapNames.end(),
                     [&](const std::string& name) { return !exists(pins.maps() + "/" + name); });
}

Status restoreMapPins(const PinPath& pins, const bpf_object* object, const KernelMaps& maps) {
  for (const std::string& folder : {pins.folder, pins.maps(), pins.pages(), pins.links()}) {
    if (auto made = makeFolder(folder); !made) return made;
  }
  for (const std::string& name : kMapNames) {
    const std::string path = pins.maps() + "/" + name;
    const bpf_map* map = bpf_object__find_map_by_name(object, name.c_str());
    if (exists(path)) continue;
    if (bpf_obj_pin(bpf_map__fd(map), path.c_str()) != 0) {
      return Error::fromErrno("pinning " + path, errno);
    }
  }
  Status done;
  maps.eachPagedTable([&](const auto& table) {
    if (done) done = restorePages(pins.pages(), object, table);
  });
  return done;
}

}  // namespace sockmesh
