// SPDX-License-Identifier: Apache-2.0
#include "datapath/datapath.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <filesystem>
#include <sstream>
#include <utility>
#include <vector>

#include "base/log.h"
#include "datapath/bpffs.h"
#include "datapath/map_pins.h"
#include "datapath/pin_lock.h"
#include "datapath/pod_cgroups.h"
#include "datapath/privileges.h"
#include "maps/private_folder.h"
#include "maps/selection_sampling.h"

namespace sockmesh {
namespace {

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

// The kernel says no more than "not permitted", or that the verifier refused.
Error withPrivileges(const Error& error) {
  const Status privileged = checkPrivileges();
  return privileged ? error : Error(error.message() + "; " + privileged.error().message());
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

}  // namespace

Datapath::~Datapath() {
  if (attached_ || adopted_ || !lock_.valid()) return;
  // Maps without links have no use.
  [[maybe_unused]] const Status removed = removePins(PinPath(options_.bpffsRoot));
  lock_.reset();  // which would keep the bpffs busy
  options_.calls->unmountBpffs(options_.bpffsRoot);
}

Result<std::unique_ptr<Datapath>> Datapath::open(const DatapathOptions& options) {
  auto datapath = openMaps(options);
  if (!datapath) return datapath;
  auto programs = (*datapath)->load();
  if (!programs) return programs.error();
  if (auto attached = (*datapath)->attach(std::move(programs).value()); !attached) {
    return attached.error();
  }
  return datapath;
}

Result<std::unique_ptr<Datapath>> Datapath::openMaps(const DatapathOptions& options) {
  auto opened = tryOpenMaps(options);
  if (!opened) return withPrivileges(opened.error());
  return opened;
}

Result<std::unique_ptr<Datapath>> Datapath::tryOpenMaps(const DatapathOptions& options) {
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
  if (auto found = datapath->findMaps(pins); !found) return found.error();
  datapath->links_ = std::make_unique<LinkKeeper>(datapath->programs_, pins.links(),
                                                  options.cgroupRoot, std::move(cgroup).value());
  return datapath;
}

Status Datapath::findMaps(const PinPath& pins) {
  auto adoptable = mapsToAdopt(pins);
  if (!adoptable) return adoptable.error();
  adopted_ = *adoptable;
  auto object = adopted_ ? MapObject::adopt(options_, pins) : MapObject::make(options_, pins);
  if (!object) return object.error();
  object_ = std::move(object).value();
  recipe_ = object_->recipe();
  // New maps are in no program that an earlier agent has loaded.
  if (adopted_) adoptable_ = Programs::adopt(object_->object(), pins, recipe_);
  programsAdopted_ = adoptable_.has_value();
  auto opened = KernelMaps::open(pins.maps(), MapAccess::kReadWrite, object_->pageTypes());
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

Result<Programs> Datapath::load() {
  if (adoptable_) return std::move(*adoptable_);
  auto loaded = Programs::load(*object_);
  if (!loaded) return withPrivileges(loaded.error());
  return loaded;
}

Status Datapath::attach(Programs programs) {
  programs_ = std::move(programs);
  if (auto done = links_->attach(); !done) return done;
  attached_ = true;
  keepPrograms(PinPath(options_.bpffsRoot));
  findPods();
  timeSelections(maps_->globals[0], options_.timeOneSelectionIn);
  return {};
}

// For the next agent. Without the pins that agent loads the programs, as this one did.
void Datapath::keepPrograms(const PinPath& pins) const {
  if (programsAdopted_) return;
  if (auto kept = programs_.pin(pins, recipe_); !kept) {
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
  if (auto restored = restoreMapPins(pins, object_->object(), *maps_, *options_.calls); !restored) {
    return restored;
  }
  return exists(pins.programs() + "/" + recipe_) ? Status() : programs_.pin(pins, recipe_);
}

Status Datapath::registerAgent() {
  LIBBPF_OPTS(bpf_test_run_opts, options);
  const int fd = programs_.fd("sm_register_agent");
  if (bpf_prog_test_run_opts(fd, &options) != 0) {
    return Error::fromErrno("registering the agent's process", errno);
  }
  return options.retval == 0 ? Status() : Status(Error("registering the agent's process failed"));
}

Status Datapath::recountAffinity() {
  const std::uint32_t share = object_->settings().affinity_share;
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

ConnectionSweeper Datapath::sweeper() const {
  return {*maps_, programs_.fd("sm_sweep_sets"), programs_.fd("sm_sweep_overflow")};
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
