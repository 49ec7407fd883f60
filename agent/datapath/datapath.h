// SPDX-License-Identifier: Apache-2.0
// The programs in the kernel: loaded, their maps and links pinned, attached to the cgroup root.
// Programs and maps outlive this process, and a later process adopts them.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/defaults.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "datapath/cgroup_root.h"
#include "datapath/cleanup_report.h"
#include "datapath/connection_sweeper.h"
#include "datapath/ejection_control.h"
#include "datapath/link_keeper.h"
#include "datapath/map_object.h"
#include "datapath/privileged_calls.h"
#include "datapath/programs.h"
#include "maps/kernel_maps.h"
#include "maps/pin_path.h"
#include "maps/stale_time.h"
#include "sockmesh_abi.h"

namespace sockmesh {

struct DatapathOptions {
  std::string cgroupRoot;  // empty: find the true root
  std::string bpffsRoot = kDefaultBpffsRoot;
  std::uint32_t maxServices = SM_DEFAULT_MAX_SERVICES;  // of each family
  // Records; rounded up to a power of two.
  std::uint32_t maxConnections = SM_DEFAULT_MAX_CONNECTIONS;
  // Remembered, client and VIP; the oldest goes first.
  std::uint32_t maxAffinityClients = SM_DEFAULT_MAX_AFFINITY_CLIENTS;
  // UDP flows of sockets that name the address with each send; the oldest goes first.
  std::uint32_t maxUdpFlows = SM_DEFAULT_MAX_UDP_FLOWS;
  std::uint32_t maxNames = SM_DEFAULT_MAX_NAMES;  // parts of names
  // Of so many selections one is timed; 1: each, 0: none.
  std::uint32_t timeOneSelectionIn = kDefaultTimeOneSelectionIn;
  // Makes repairs after open(). Null: made in this process.
  std::shared_ptr<PrivilegedCalls> calls = nullptr;
};

class Datapath {
 public:
  // The maps, those that an earlier agent has pinned if there are any, and its programs if they are
  // the very same as ours. What is attached stays as it is. One process at a time on a bpffs. Needs
  // CAP_BPF, and CAP_SYS_ADMIN if no bpffs is mounted.
  static Result<std::unique_ptr<Datapath>> openMaps(const DatapathOptions& options);
  // The programs for the maps, loaded unless they were adopted. Loading takes the kernel its time.
  // Any thread, while others use the maps. Needs CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON.
  Result<Programs> load();
  // Attaches the result of load(). After a failure nothing is attached that was not there before.
  Status attach(Programs programs);
  // All three, one after the other.
  static Result<std::unique_ptr<Datapath>> open(const DatapathOptions& options);
  // What is attached stays. Maps that no program was attached to are removed.
  ~Datapath();
  Datapath(const Datapath&) = delete;
  Datapath& operator=(const Datapath&) = delete;

  KernelMaps& maps() { return *maps_; }
  // The maps were pinned already, by an earlier agent.
  bool adopted() const { return adopted_; }
  // The programs, too: they are the very same as an earlier agent's, and were not loaded again.
  bool programsAdopted() const { return programsAdopted_; }
  const std::string& cgroupPath() const { return links_->cgroup().path; }
  std::uint64_t cgroupId() const { return links_->cgroup().id; }

  // Checks that programs and pins are in place, restores what is missing if that is possible, and
  // logs it. Costs a few system calls.
  void check();
  bool attached() const { return attached_; }
  // As of the last check(). Empty before attach().
  const std::vector<AttachmentStats>& attachments() const { return links_->states(); }

  // From now on the sockets of this process are not rewritten, until another process registers.
  Status registerAgent();

  // Takes what the kernel has dropped of session affinity off the clients' shares. Looks at the
  // entries only if some client has most of its share.
  Status recountAffinity();

  // For as long as this lives.
  EjectionControl ejections() const { return EjectionControl(programs_); }
  ConnectionSweeper sweeper() const;  // once programs are attached
  StaleTime staleTime() { return StaleTime(maps_->globals[0]); }

  // Whether an agent of any version has left pins here, so that its programs may be attached.
  static bool isPinned(const std::string& bpffsRoot);

  // Detaches the programs, removes pins, maps and the folder, also those of other versions, and
  // reports what was there. An empty bpffs is no error. While another process has the datapath
  // open, this is an Error and changes nothing.
  static Result<CleanupReport> cleanup(const std::string& bpffsRoot);

 private:
  static Result<std::unique_ptr<Datapath>> tryOpenMaps(const DatapathOptions& options);
  Datapath() = default;
  Status findMaps(const PinPath& pins);
  static Result<bool> mapsToAdopt(const PinPath& pins);
  void keepPrograms(const PinPath& pins) const;
  Status restorePins(const PinPath& pins);
  void findPods();

  DatapathOptions options_;
  UniqueFd lock_;  // see pin_lock.h; let go of last
  std::optional<MapObject> object_;
  std::unique_ptr<KernelMaps> maps_;
  Programs programs_;  // empty before attach()
  std::optional<Programs> adoptable_;
  std::unique_ptr<LinkKeeper> links_;
  std::string recipe_;  // of the programs
  bool adopted_ = false;
  bool programsAdopted_ = false;
  bool attached_ = false;
  std::string pinProblem_;  // as last logged
};

}  // namespace sockmesh
