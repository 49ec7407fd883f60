// SPDX-License-Identifier: Apache-2.0
#include "datapath/map_pins.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "maps/private_folder.h"

namespace sockmesh {
namespace {

bool exists(const std::string& path) {
  return access(path.c_str(), F_OK) == 0;
}

template <typename Table>
Status restorePages(const std::string& folder, const bpf_object* object, const Table& table,
                    PrivilegedCalls& calls) {
  const int outer = bpf_map__fd(bpf_object__find_map_by_name(object, table.name().c_str()));
  for (const auto& [number, page] : table.pages()) {
    const std::string path = folder + "/" + table.name() + "-" + std::to_string(number);
    if (exists(path)) continue;
    const auto fd = calls.openInner(outer, number);
    if (!fd) return fd.error().in(path);
    if (bpf_obj_pin(fd->get(), path.c_str()) != 0)
      return Error::fromErrno("pinning " + path, errno);
  }
  return {};
}

}  // namespace

Status makePinFolders(const PinPath& pins) {
  for (const std::string& folder : {pins.folder, pins.maps(), pins.pages(), pins.links()}) {
    if (auto made = makePrivateFolder(folder); !made) return made;
  }
  return {};
}

bool mapPinsMissing(const PinPath& pins) {
  return !exists(pins.links()) || !exists(pins.pages()) ||
         std::any_of(kMapNames.begin(), kMapNames.end(),
                     [&](const std::string& name) { return !exists(pins.maps() + "/" + name); });
}

Status restoreMapPins(const PinPath& pins, const bpf_object* object, const KernelMaps& maps,
                      PrivilegedCalls& calls) {
  if (auto made = makePinFolders(pins); !made) return made;
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
    if (done) done = restorePages(pins.pages(), object, table, calls);
  });
  return done;
}

}  // namespace sockmesh
