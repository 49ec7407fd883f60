// SPDX-License-Identifier: Apache-2.0
// The programs' links: attached, pinned, held open, and checked from time to time. A link that was
// detached, or whose cgroup is gone, is made anew if that is possible. Control thread.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "datapath/cgroup_root.h"
#include "datapath/programs.h"
#include "stats/agent_stats.h"

namespace sockmesh {

class LinkKeeper {
 public:
  // `programs` outlive this. `folder` is where the links are pinned; `declaredRoot` is
  // the operator's cgroup, "" for the true root, and `cgroup` is that.
  LinkKeeper(const Programs& programs, std::string folder, std::string declaredRoot,
             CgroupRoot cgroup)
      : programs_(programs),
        folder_(std::move(folder)),
        declaredRoot_(std::move(declaredRoot)),
        cgroup_(std::move(cgroup)) {}

  // Attaches each of programNames(), behind its pinned link if that is usable, in one step. After
  // an Error, what was attached before is as it was, or replaced.
  Status attach();

  // Checks all links and pins, repairs them if possible, and logs each loss.
  void check();

  const CgroupRoot& cgroup() const { return cgroup_; }
  // One for each program, in the order of attaching. Empty before attach().
  const std::vector<AttachmentStats>& states() const { return states_; }

 private:
  struct Kept {
    const Program* program = nullptr;
    UniqueFd link;
  };

  std::string pathOf(const Kept& kept) const;
  Status takeOver(Kept& kept) const;
  Status create(Kept& kept) const;
  Status pin(const Kept& kept) const;
  std::string problemOf(const Kept& kept) const;
  Status reattach(Kept& kept);
  void checkOne(Kept& kept, AttachmentStats& state);
  void checkPin(const Kept& kept) const;

  const Programs& programs_;
  std::string folder_;
  std::string declaredRoot_;
  CgroupRoot cgroup_;
  std::vector<Kept> kept_;
  std::vector<AttachmentStats> states_;
};

}  // namespace sockmesh
