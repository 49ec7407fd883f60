// SPDX-License-Identifier: Apache-2.0
#include "datapath/datapath.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <utility>
#include <vector>

#include "base/log.h"
#include "datapath/map_pins.h"
#include "datapath/pin_lock.h"
#include "datapath/pod_cgroups.h"
#include "datapath/private_folder.h"
#include "datapath/privileges.h"
#include "sockmesh.skel.h"

namespace sockmesh {
namespace {

constexpr std::uint32_t kMinConnections = 64;
// Room for records that find their set full; an entry takes memory when it is in use.
constexpr std::uint32_t kOverflowFactor = 4;  // of the array
constexpr std::uint32_t kMinOverflow = 65536;
constexpr std::uint32_t kFlowSources = 2;  // of a flow: of its endpoint, and the first of a chain
// One client may have this part of a table that all clients share.
constexpr std::uint32_t kShares = 16;

// Keeps libbpf's messages, the verifier's log among them, for the error that follows.
class LibbpfLog {
 public:
  static int print(libbpf_print_level level, const char* format, va_list args) {
    if (level == LIBBPF_DEBUG) return 0;
    std::array<char, 4096> line{};
    const int length = std::vsnprintf(line.data(), line.size(), format, args);
    // A message of ours is one line.
    std::istringstream text(line.data());
    for (std::string one; std::getline(text, one);) logger("libbpf")->debug(one);
    return length;
  }
};

bool exists(const std::string& path) {
  return access(path.c_str(), F_OK) == 0;
}

Status checkKernel() {
  if (!exists("/sys/kernel/btf/vmlinux")) {
    return Error(
        "this kernel has no BTF (/sys/kernel/btf/vmlinux); it needs CONFIG_DEBUG_INFO_BTF");
  }
  // Looks for bpf_set_retval() in connect4 (Linux 5.18) by loading a program, because libbpf's
  // probes of helpers are wrong on new kernels.
  const std::array<bpf_insn, 4> program = {{
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 1, .src_reg = 0, .off = 0, .imm = -111},
      {.code = BPF_JMP | BPF_CALL,
       .dst_reg = 0,
       .src_reg = 0,
       .off = 0,
       .imm = BPF_FUNC_set_retval},
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 1},
      {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0},
  }};
  LIBBPF_OPTS(bpf_prog_load_opts, options, .expected_attach_type = BPF_CGROUP_INET4_CONNECT);
  const UniqueFd probe(bpf_prog_load(BPF_PROG_TYPE_CGROUP_SOCK_ADDR, "sm_probe", "GPL",
                                     program.data(), program.size(), &options));
  if (probe.valid()) return {};
  if (errno != EINVAL) return Error::fromErrno("loading a BPF program", errno);
  utsname kernel{};
  uname(&kernel);
  return Error("this kernel (" + std::string(kernel.release) +
               ") is too old: bpf_set_retval() in connect4 needs Linux 5.18");
}

bpf_map_info infoOf(const bpf_map* map) {
  bpf_map_info info{};
  std::uint32_t length = sizeof(info);
  if (bpf_obj_get_info_by_fd(bpf_map__fd(map), &info, &length) != 0) return {};
  return info;
}

using Link = std::unique_ptr<bpf_link, decltype([](bpf_link* link) { bpf_link__destroy(link); })>;

// The pinned links. The links of connect and sendmsg come first. Once they are detached, nothing is
// sent to an endpoint.
std::vector<std::string> pinnedLinks(const PinPath& pins) {
  std::vector<std::string> links;
  std::error_code failed;
  for (const auto& entry : std::filesystem::directory_iterator(pins.links(), failed)) {
    links.push_back(entry.path());
  }
  std::stable_partition(links.begin(), links.end(), [](const std::string& path) {
    return path.find("/sm_connect") != std::string::npos ||
           path.find("/sm_sendmsg") != std::string::npos;
  });
  return links;
}

// Detaches the programs, then removes the whole folder.
Status removePins(const PinPath& pins) {
  for (const std::string& path : pinnedLinks(pins)) {
    // Detached explicitly, because the kernel frees an unpinned link some time later.
    if (const Link link(bpf_link__open(path.c_str())); link) bpf_link__detach(link.get());
    if (unlink(path.c_str()) != 0 && errno != ENOENT) return Error::fromErrno(path, errno);
  }
  std::error_code failed;
  std::filesystem::remove_all(pins.folder, failed);
  return failed ? Status(Error(pins.folder + ": " + failed.message())) : Status();
}

// Unmounts a bpffs that ensureBpffs() mounted, if nothing else is in it.
bool holdsNothing(const std::string& bpffs) {
  std::error_code failed;
  for (const auto& entry : std::filesystem::directory_iterator(bpffs, failed)) {
    // The kernel's own entries, on kernels that have them: maps.debug, progs.debug.
    if (entry.path().extension() != ".debug") return false;
  }
  return !failed;
}

// Makes the folder of the pins and locks it. An agent of another version on this bpffs is an Error,
// too: both would answer each connect().
Result<UniqueFd> claimPins(const PinPath& pins) {
  if (auto safe = checkBpffs(pins.bpffsRoot); !safe) return safe.error();
  if (auto made = makePrivateFolder(pins.folder); !made) return made.error();
  auto lock = lockPins(pins);
  if (!lock) return lock.error();
  for (const PinPath& other : PinPath::ofOtherVersions(pins.bpffsRoot)) {
    const auto free = lockPins(other);
    if (free || free.error().errnum() == ENOENT) continue;
    rmdir(pins.folder.c_str());  // unless an earlier agent's pins are in it
    return free.error();
  }
  return lock;
}

// Whether one was there.
bool unmountOwnBpffs(const std::string& root) {
  std::ifstream mounts("/proc/self/mounts");
  for (std::string source, point, rest; mounts >> source >> point && std::getline(mounts, rest);) {
    if (point != root || source != kBpffsSource) continue;
    return holdsNothing(root) && umount(root.c_str()) == 0;
  }
  return false;
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

struct Datapath::Skeleton {
  sockmesh_bpf* bpf = nullptr;
  ~Skeleton() { sockmesh_bpf::destroy(bpf); }

  bpf_map* map(const std::string& name) const {
    return bpf_object__find_map_by_name(bpf->obj, name.c_str());
  }
  void setSizes(const DatapathOptions& options) const;
  Status adoptMaps(const PinPath& pins) const;
  Status pinMaps(const PinPath& pins) const;
  void setSettings() const;
  std::string recipe() const;
};

void Datapath::Skeleton::setSizes(const DatapathOptions& options) const {
  auto& maps = bpf->maps;
  const std::uint32_t records = std::bit_ceil(std::max(options.maxConnections, kMinConnections));
  bpf_map__set_max_entries(maps.frontends4, options.maxServices);
  bpf_map__set_max_entries(maps.frontends6, options.maxServices);
  bpf_map__set_max_entries(maps.ranges, options.maxServices);
  bpf_map__set_max_entries(maps.heads, options.maxServices + 1);
  bpf_map__set_max_entries(maps.connections, records);
  bpf_map__set_max_entries(maps.conn_overflow, std::max(records * kOverflowFactor, kMinOverflow));
  bpf_map__set_max_entries(maps.affinity, options.maxAffinityClients);
  bpf_map__set_max_entries(maps.flows, options.maxUdpFlows);
  bpf_map__set_max_entries(maps.flow_sources, kFlowSources * options.maxUdpFlows);
  bpf_map__set_max_entries(maps.names, options.maxNames);
}

// Adopted maps keep their sizes. Other sizes take effect after --cleanup.
Status Datapath::Skeleton::adoptMaps(const PinPath& pins) const {
  for (const std::string& name : kMapNames) {
    const std::string path = pins.maps() + "/" + name;
    const UniqueFd fd(bpf_obj_get(path.c_str()));
    if (!fd.valid() || map(name) == nullptr || bpf_map__reuse_fd(map(name), fd.get()) != 0) {
      return Error::fromErrno("adopting " + path, errno);
    }
  }
  return {};
}

Status Datapath::Skeleton::pinMaps(const PinPath& pins) const {
  for (const std::string& name : kMapNames) {
    const std::string path = pins.maps() + "/" + name;
    if (map(name) == nullptr || bpf_obj_pin(bpf_map__fd(map(name)), path.c_str()) != 0) {
      return Error::fromErrno("pinning " + path, errno);
    }
  }
  return {};
}

// By the sizes that the maps have, or are to have.
void Datapath::Skeleton::setSettings() const {
  const auto& maps = bpf->maps;
  auto& settings = bpf->rodata->settings;
  settings.conn_set_mask = bpf_map__max_entries(maps.connections) / SM_CONN_WAYS - 1;
  settings.node_netns = ownNetnsCookie();
  settings.node_userns = ownUserNamespace();
  settings.affinity_share = std::max(bpf_map__max_entries(maps.affinity) / kShares, 1U);
  settings.overflow_share = std::max(bpf_map__max_entries(maps.conn_overflow) / kShares, 1U);
}

std::string Datapath::Skeleton::recipe() const {
  std::vector<std::uint32_t> ids;
  ids.reserve(kMapNames.size());
  for (const std::string& name : kMapNames) ids.push_back(infoOf(map(name)).id);
  std::size_t size = 0;
  const void* bytes = sockmesh_bpf::elf_bytes(&size);
  return Programs::recipeOf({static_cast<const char*>(bytes), size}, bpf->rodata->settings, ids);
}

Datapath::Datapath() = default;
Datapath::~Datapath() = default;

Result<std::unique_ptr<Datapath>> Datapath::open(const DatapathOptions& options) {
  auto opened = tryOpen(options);
  if (opened) return opened;
  // The kernel says no more than "not permitted", or that the verifier refused.
  const Status privileged = checkPrivileges();
  if (privileged) return opened.error();
  return Error(opened.error().message() + "; " + privileged.error().message());
}

Result<std::unique_ptr<Datapath>> Datapath::tryOpen(const DatapathOptions& options) {
  libbpf_set_print(&LibbpfLog::print);
  if (auto ok = checkKernel(); !ok) return ok.error();
  std::unique_ptr<Datapath> datapath(new Datapath());
  auto cgroup = openCgroupRoot(options.cgroupRoot);
  if (!cgroup) return cgroup.error();
  datapath->options_ = options;
  if (!datapath->options_.calls) datapath->options_.calls = std::make_shared<DirectCalls>();
  if (auto ok = ensureBpffs(options.bpffsRoot); !ok) return ok.error();
  const PinPath pins(options.bpffsRoot);
  auto lock = claimPins(pins);
  if (!lock) return lock.error();
  datapath->lock_ = std::move(lock).value();
  Status started = datapath->load(options, pins);
  if (started) {
    datapath->links_ =
        std::make_unique<LinkKeeper>(*datapath->programs_, pins.links(), options.cgroupRoot);
    started = datapath->links_->attach(std::move(cgroup).value());
  }
  if (started) {
    datapath->keepPrograms(pins);
    datapath->findPods();
    return datapath;
  }
  // Maps without links have no use.
  if (!datapath->adopted_) {
    [[maybe_unused]] const Status removed = removePins(pins);
  }
  datapath.reset();  // with the lock, which would keep the bpffs busy
  unmountOwnBpffs(options.bpffsRoot);
  return started.error();
}

Status Datapath::load(const DatapathOptions& options, const PinPath& pins) {
  skeleton_ = std::make_unique<Skeleton>();
  skeleton_->bpf = sockmesh_bpf::open();
  if (skeleton_->bpf == nullptr) return Error::fromErrno("opening the BPF object", errno);
  PageTypes pages = PageTypes::of(skeleton_->bpf->obj);

  auto adoptable = mapsToAdopt(pins);
  if (!adoptable) return adoptable.error();
  adopted_ = *adoptable;
  skeleton_->setSizes(options);
  if (adopted_) {
    if (auto adopted = skeleton_->adoptMaps(pins); !adopted) return adopted;
  }
  skeleton_->setSettings();
  // New maps are in no program that an earlier agent has loaded.
  if (adopted_) recipe_ = skeleton_->recipe();
  if (!adopted_ || !adoptPrograms(pins)) {
    if (auto loaded = loadPrograms(pins); !loaded) return loaded;
  }
  pages.btfFd = bpf_object__btf_fd(skeleton_->bpf->obj);
  auto opened = KernelMaps::open(pins.maps(), MapAccess::kReadWrite, pages);
  if (!opened) return opened.error();
  maps_ = std::move(opened).value();
  return {};
}

// Whether `pins` holds the maps of an earlier agent. An agent that ended while it pinned its first
// maps has left some of them. Nothing was attached yet, and they are removed.
Result<bool> Datapath::mapsToAdopt(const PinPath& pins) {
  std::size_t pinned = 0;
  for (const std::string& name : kMapNames) pinned += exists(pins.maps() + "/" + name) ? 1 : 0;
  if (pinned == 0 || pinned == kMapNames.size()) return pinned > 0;
  logger("datapath")
      ->warn("{} holds {} of {} maps: starting afresh", pins.maps(), pinned, kMapNames.size());
  if (auto removed = removePins(pins); !removed) return removed.error();
  return false;
}

// False: there are no programs that are the very same as those that would be loaded.
bool Datapath::adoptPrograms(const PinPath& pins) {
  bpf_object* object = skeleton_->bpf->obj;
  auto found = Programs::adopt(object, pins, recipe_);
  // Pages that are made later need the types, which otherwise are loaded with the programs.
  if (!found || btf__load_into_kernel(bpf_object__btf(object)) != 0) return false;
  programs_ = std::make_unique<Programs>(std::move(*found));
  programsAdopted_ = true;
  return true;
}

Status Datapath::loadPrograms(const PinPath& pins) {
  if (sockmesh_bpf::load(skeleton_->bpf) != 0) {
    return Error::fromErrno("loading the BPF programs (the verifier's log is at --log-level debug)",
                            errno);
  }
  auto programs = Programs::loaded(skeleton_->bpf->obj);
  if (!programs) return programs.error();
  programs_ = std::make_unique<Programs>(std::move(programs).value());
  recipe_ = skeleton_->recipe();
  if (auto made = makePinFolders(pins); !made) return made.error();
  return adopted_ ? Status() : skeleton_->pinMaps(pins);
}

// For the next agent. Without the pins that agent loads the programs, as this one did.
void Datapath::keepPrograms(const PinPath& pins) const {
  if (programsAdopted_) return;
  if (auto kept = programs_->pin(pins, recipe_); !kept) {
    logger("datapath")->warn("the next agent has to load the programs: {}", kept.error().message());
  }
}

void Datapath::check() {
  const PinPath pins(options_.bpffsRoot);
  const bool missing = mapPinsMissing(pins) || !exists(pins.programs() + "/" + recipe_);
  const Status restored = missing ? restorePins(pins) : Status();
  const std::string problem = restored ? "" : restored.error().message();
  if (problem != pinProblem_ && !problem.empty()) {
    logger("datapath")->error("the maps' pins are gone: {}", problem);
  }
  pinProblem_ = problem;
  links_->check();
  findPods();
  // This log line comes last, so that a reader of the line can rely on the links' pins, too.
  if (missing && restored) {
    logger("datapath")->warn("{}: pins were gone, and are there again", pins.folder);
  }
}

// The programs compare the epoch, so it changes last.
void Datapath::findPods() {
  std::vector<std::uint64_t> found = podParents(links_->cgroup().path);
  found.resize(SM_POD_PARENTS);
  sm_globals& globals = maps_->globals[0];
  if (std::equal(found.begin(), found.end(), std::begin(globals.pod_parents))) return;
  for (std::size_t i = 0; i < found.size(); ++i) {
    std::atomic_ref<__u64>(globals.pod_parents[i]).store(found[i], std::memory_order_relaxed);
  }
  std::atomic_ref<__u32>(globals.pods_epoch).fetch_add(1, std::memory_order_release);
}

// Pins outlive the agent, unless another process empties or unmounts the bpffs.
Status Datapath::restorePins(const PinPath& pins) {
  if (auto mounted = options_.calls->mountBpffs(options_.bpffsRoot); !mounted) return mounted;
  if (auto safe = checkBpffs(options_.bpffsRoot); !safe) return safe;
  if (auto made = makePrivateFolder(pins.folder); !made) return made;
  // A folder that was made anew has another lock.
  if (auto lock = lockPins(pins)) lock_ = std::move(lock).value();
  if (auto restored = restoreMapPins(pins, skeleton_->bpf->obj, *maps_, *options_.calls);
      !restored) {
    return restored;
  }
  return exists(pins.programs() + "/" + recipe_) ? Status() : programs_->pin(pins, recipe_);
}

Status Datapath::registerAgent() {
  LIBBPF_OPTS(bpf_test_run_opts, options);
  const int fd = programs_->fd("sm_register_agent");
  if (bpf_prog_test_run_opts(fd, &options) != 0) {
    return Error::fromErrno("registering the agent's process", errno);
  }
  return options.retval == 0 ? Status() : Status(Error("registering the agent's process failed"));
}

Status Datapath::recountAffinity() {
  const std::uint32_t share = skeleton_->bpf->rodata->settings.affinity_share;
  const auto isNear = [&](std::uint32_t place) {
    return maps_->clients[place].affinities > share / 2;
  };
  bool near = false;
  for (std::uint32_t place = 0; place < maps_->clients.size(); ++place) near |= isNear(place);
  if (!near) return {};
  const auto entries = maps_->affinity.entries();
  if (!entries) return entries.error().in("affinity");
  std::vector<std::uint32_t> counts(maps_->clients.size());
  for (const auto& [key, last] : *entries) {
    if (last.client < counts.size()) ++counts[last.client];
  }
  for (std::uint32_t place = 0; place < counts.size(); ++place) {
    if (!isNear(place)) continue;
    std::atomic_ref<__u32>(maps_->clients[place].affinities)
        .store(counts[place], std::memory_order_relaxed);
  }
  return {};
}

EjectionControl Datapath::ejections() const {
  return {programs_->fd("sm_agent_detect"), programs_->fd("sm_agent_uneject")};
}

ConnectionSweeper Datapath::sweeper() const {
  return {*maps_, programs_->fd("sm_sweep_sets"), programs_->fd("sm_sweep_overflow")};
}

bool Datapath::isPinned(const std::string& bpffsRoot) {
  return exists(PinPath(bpffsRoot).folder) || !PinPath::ofOtherVersions(bpffsRoot).empty();
}

Result<CleanupReport> Datapath::cleanup(const std::string& bpffsRoot) {
  CleanupReport report;
  if (!exists(bpffsRoot)) return report;
  std::vector<PinPath> all = PinPath::ofOtherVersions(bpffsRoot);
  if (checkPrivateFolder(PinPath(bpffsRoot).folder)) all.insert(all.begin(), PinPath(bpffsRoot));
  for (const PinPath& pins : all) {
    const auto lock = lockPins(pins);
    if (!lock) return lock.error();
    report.add(pins);
    if (auto removed = removePins(pins); !removed) return removed.error();
  }
  // What another user put there may lead anywhere, so it is not touched.
  for (const PinPath& pins : PinPath::ofOtherUsers(bpffsRoot))
    report.leftAlone.push_back(pins.folder);
  if (unmountOwnBpffs(bpffsRoot)) report.unmounted = bpffsRoot;
  return report;
}

}  // namespace sockmesh
