// SPDX-License-Identifier: Apache-2.0
#include "datapath/map_object.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <utility>

#include "base/unique_fd.h"
#include "datapath/datapath.h"
#include "datapath/map_pins.h"
#include "datapath/object_file.h"
#include "datapath/programs.h"

namespace sockmesh {
namespace {

constexpr std::uint32_t kMinConnections = 64;
// Room for records that find their set full; an entry takes memory when it is in use.
constexpr std::uint32_t kOverflowFactor = 4;  // of the array
constexpr std::uint32_t kMinOverflow = 65536;
constexpr std::uint32_t kFlowSources = 2;  // of a flow: of its endpoint, and the first of a chain
// One client may have this part of a table that all clients share.
constexpr std::uint32_t kShares = 16;

std::uint32_t idOf(int map) {
  bpf_map_info info{};
  std::uint32_t length = sizeof(info);
  return bpf_obj_get_info_by_fd(map, &info, &length) == 0 ? info.id : 0;
}

// The inode of the caller's user namespace; 0: the kernel has none.
std::uint32_t ownUserNamespace() {
  struct stat about {};
  return stat("/proc/self/ns/user", &about) == 0 ? static_cast<std::uint32_t>(about.st_ino) : 0;
}

// The cookie of the caller's network namespace; 0: the kernel does not say (before Linux 5.14).
std::uint64_t ownNetnsCookie() {
  const UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  std::uint64_t cookie = 0;
  socklen_t length = sizeof(cookie);
  if (getsockopt(socket.get(), SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &length) != 0) return 0;
  return cookie;
}

}  // namespace

void MapObject::Close::operator()(bpf_object* object) const {
  bpf_object__close(object);
}

Result<MapObject> MapObject::open(const DatapathOptions& options) {
  const std::string_view file = objectFile();
  MapObject maps;
  LIBBPF_OPTS(bpf_object_open_opts, named, .object_name = "sockmesh");
  maps.object_.reset(bpf_object__open_mem(file.data(), file.size(), &named));
  if (maps.object_ == nullptr) return Error::fromErrno("opening the BPF object", errno);
  maps.pageTypes_ = PageTypes::of(maps.object());
  maps.setSizes(options);
  return maps;
}

Result<MapObject> MapObject::make(const DatapathOptions& options, const PinPath& pins) {
  auto maps = open(options);
  if (!maps) return maps;
  maps->leaveRestOut();
  if (bpf_object__load(maps->object_.get()) != 0) return Error::fromErrno("making maps", errno);
  if (auto made = makePinFolders(pins); !made) return made.error();
  if (auto pinned = maps->pinMaps(pins); !pinned) return pinned.error();
  maps->findSettings();
  return maps;
}

Result<MapObject> MapObject::adopt(const DatapathOptions& options, const PinPath& pins) {
  auto maps = open(options);
  if (!maps) return maps;
  if (auto adopted = maps->adoptMaps(pins); !adopted) return adopted.error();
  // Pages that are made later need the types.
  if (btf__load_into_kernel(bpf_object__btf(maps->object())) != 0) {
    return Error::fromErrno("loading the maps' types", errno);
  }
  maps->findSettings();
  return maps;
}

bpf_map* MapObject::map(const std::string& name) const {
  return bpf_object__find_map_by_name(object_.get(), name.c_str());
}

int MapObject::fd(const std::string& name) const {
  return bpf_map__fd(map(name));
}

void MapObject::setSizes(const DatapathOptions& options) const {
  const auto set = [this](const char* name, std::uint32_t entries) {
    bpf_map__set_max_entries(map(name), entries);
  };
  const std::uint32_t records = std::bit_ceil(std::max(options.maxConnections, kMinConnections));
  set("frontends4", options.maxServices);
  set("frontends6", options.maxServices);
  set("ranges", options.maxServices);
  set("heads", options.maxServices + 1);
  set("connections", records);
  set("conn_overflow", std::max(records * kOverflowFactor, kMinOverflow));
  set("affinity", options.maxAffinityClients);
  set("flows", options.maxUdpFlows);
  set("flow_sources", kFlowSources * options.maxUdpFlows);
  set("names", options.maxNames);
}

// Programs, and maps that only one set of programs uses, are loaded later.
void MapObject::leaveRestOut() const {
  bpf_program* program = nullptr;
  bpf_object__for_each_program(program, object_.get()) bpf_program__set_autoload(program, false);
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, object_.get()) {
    const bool kept = std::ranges::count(kMapNames, bpf_map__name(map)) > 0;
    bpf_map__set_autocreate(map, kept);
  }
}

Status MapObject::adoptMaps(const PinPath& pins) const {
  for (const std::string& name : kMapNames) {
    const std::string path = pins.maps() + "/" + name;
    const UniqueFd fd(bpf_obj_get(path.c_str()));
    if (!fd.valid() || map(name) == nullptr || bpf_map__reuse_fd(map(name), fd.get()) != 0) {
      return Error::fromErrno("adopting " + path, errno);
    }
  }
  return {};
}

Status MapObject::pinMaps(const PinPath& pins) const {
  for (const std::string& name : kMapNames) {
    const std::string path = pins.maps() + "/" + name;
    if (map(name) == nullptr || bpf_obj_pin(fd(name), path.c_str()) != 0) {
      return Error::fromErrno("pinning " + path, errno);
    }
  }
  return {};
}

// By the sizes that the maps have.
void MapObject::findSettings() {
  pageTypes_.btfFd = bpf_object__btf_fd(object());
  settings_.conn_set_mask = bpf_map__max_entries(map("connections")) / SM_CONN_WAYS - 1;
  settings_.node_netns = ownNetnsCookie();
  settings_.node_userns = ownUserNamespace();
  settings_.affinity_share = std::max(bpf_map__max_entries(map("affinity")) / kShares, 1U);
  settings_.overflow_share = std::max(bpf_map__max_entries(map("conn_overflow")) / kShares, 1U);
}

std::string MapObject::recipe() const {
  std::vector<std::uint32_t> ids;
  ids.reserve(kMapNames.size());
  for (const std::string& name : kMapNames) ids.push_back(idOf(fd(name)));
  return Programs::recipeOf(objectFile(), settings_, ids);
}

}  // namespace sockmesh
