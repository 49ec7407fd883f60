// SPDX-License-Identifier: Apache-2.0
#include "datapath/link_keeper.h"

#include <bpf/bpf.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <utility>

#include "base/log.h"
#include "maps/program_names.h"

namespace sockmesh {
namespace {

bpf_link_info infoOf(int link) {
  bpf_link_info info{};
  std::uint32_t length = sizeof(info);
  if (link < 0 || bpf_obj_get_info_by_fd(link, &info, &length) != 0) return {};
  return info;
}

// Whether the link still attaches its program somewhere.
bool isAttached(const bpf_link_info& info) {
  return info.type == BPF_LINK_TYPE_CGROUP ? info.cgroup.cgroup_id != 0 : info.id != 0;
}

}  // namespace

std::string LinkKeeper::pathOf(const Kept& kept) const {
  return folder_ + "/" + kept.program->name;
}

Status LinkKeeper::attach() {
  for (const std::string& name : programNames()) {
    Kept kept;
    kept.program = programs_.find(name);
    if (kept.program == nullptr) return Error("no program " + name);
    if (!takeOver(kept)) {
      if (auto made = create(kept); !made) return made.error();
      if (auto pinned = pin(kept); !pinned) return pinned.error();
    }
    kept_.push_back(std::move(kept));
    AttachmentStats& state = states_.emplace_back();
    state.program = name;
    state.attached = true;
  }
  return {};
}

// Puts the program behind the pinned link, in one step, unless the program is there. An Error if
// there is no usable link, because it is gone or on another cgroup, or because it is of a kind that
// keeps its program.
Status LinkKeeper::takeOver(Kept& kept) const {
  const std::string path = pathOf(kept);
  UniqueFd link(bpf_obj_get(path.c_str()));
  const bpf_link_info info = infoOf(link.get());
  const bool there = info.prog_id == kept.program->id;
  if (kept.program->tracing) {
    if (!there) return Error("a tracepoint's link keeps its program");
  } else if (info.cgroup.cgroup_id != cgroup_.id) {
    return Error(path + ": no link on this cgroup");
  } else if (!there && bpf_link_update(link.get(), kept.program->fd.get(), nullptr) != 0) {
    return Error::fromErrno(path, errno);
  }
  kept.link = std::move(link);
  return {};
}

Status LinkKeeper::create(Kept& kept) const {
  const int program = kept.program->fd.get();
  UniqueFd link(kept.program->tracing
                    ? bpf_raw_tracepoint_open(nullptr, program)
                    : bpf_link_create(program, cgroup_.fd.get(),
                                      static_cast<bpf_attach_type>(kept.program->attachType),
                                      nullptr));
  if (!link.valid()) {
    return Error::fromErrno("attaching " + kept.program->name, errno);
  }
  kept.link = std::move(link);
  return {};
}

// Replaces the pin that was there. The link of the old pin ends only then.
Status LinkKeeper::pin(const Kept& kept) const {
  const std::string path = pathOf(kept);
  const std::string fresh = path + "-new";  // bpffs reserves dots
  unlink(fresh.c_str());
  if (bpf_obj_pin(kept.link.get(), fresh.c_str()) != 0 ||
      rename(fresh.c_str(), path.c_str()) != 0) {
    return Error::fromErrno("pinning " + path, errno);
  }
  return {};
}

std::string LinkKeeper::problemOf(const Kept& kept) const {
  const bpf_link_info info = infoOf(kept.link.get());
  if (!isAttached(info)) return "its link was detached";
  if (info.prog_id != kept.program->id) return "another program was put behind its link";
  return "";
}

void LinkKeeper::check() {
  for (std::size_t i = 0; i < kept_.size(); ++i) checkOne(kept_[i], states_[i]);
}

void LinkKeeper::checkOne(Kept& kept, AttachmentStats& state) {
  const std::string problem = problemOf(kept);
  if (problem.empty()) {
    checkPin(kept);
    return;
  }
  if (std::exchange(state.attached, false)) {
    ++state.lost;
    logger("datapath")->error("{} is not attached any more: {}", state.program, problem);
  }
  if (auto done = reattach(kept); !done) {
    const std::string reason = problem + "; " + done.error().message();
    if (reason != state.problem) logger("datapath")->error("{}: {}", state.program, reason);
    state.problem = reason;
    return;
  }
  state.attached = true;
  state.problem.clear();
  ++state.reattached;
  logger("datapath")
      ->warn("{} is attached again, to {} (cgroup {})", state.program, cgroup_.path, cgroup_.id);
}

Status LinkKeeper::reattach(Kept& kept) {
  // The same link, on the same cgroup: the program behind it is what changed.
  if (isAttached(infoOf(kept.link.get())) && !kept.program->tracing) {
    if (bpf_link_update(kept.link.get(), kept.program->fd.get(), nullptr) == 0) return {};
    return Error::fromErrno("putting it back", errno);
  }
  auto made = create(kept);
  if (!made && !kept.program->tracing) {
    // The cgroup is gone; perhaps there is another of its name by now.
    auto again = openCgroupRoot(declaredRoot_);
    if (!again) return again.error();
    if (again->id == cgroup_.id) return made;
    cgroup_ = std::move(again).value();
    made = create(kept);
  }
  if (!made) return made;
  return pin(kept);
}

// The agent holds the link. Without a pin the link would end with the agent.
void LinkKeeper::checkPin(const Kept& kept) const {
  const std::string path = pathOf(kept);
  const UniqueFd pinned(bpf_obj_get(path.c_str()));
  if (pinned.valid() && infoOf(pinned.get()).id == infoOf(kept.link.get()).id) return;
  const auto done = pin(kept);
  if (done) {
    logger("datapath")->warn("{} was gone, and is pinned again", path);
  } else {
    logger("datapath")->debug("{}", done.error().message());
  }
}

}  // namespace sockmesh
