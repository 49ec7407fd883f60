// SPDX-License-Identifier: Apache-2.0
// Which of the programs are attached, where, and beside which other programs. Read from the pinned
// links, so that a "healthy" report does not hide programs on the wrong cgroup or programs that run
// second.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace sockmesh {

struct ProgramInfo {
  std::uint32_t id = 0;
  std::string name;  // "" where the kernel would not tell (needs CAP_SYS_ADMIN)
  std::string tag;   // 16 hex digits: a hash of its instructions
  bool ours = false;
};

struct Attachment {
  std::string link;     // name of the pin, which is the program's
  std::string problem;  // why the rest is not known or not right; "" where all is well
  std::uint32_t linkId = 0;
  ProgramInfo program;
  std::string hook;              // "connect4"
  bool wholeNode = false;        // a tracepoint, which belongs to no cgroup
  std::uint32_t attachType = 0;  // enum bpf_attach_type
  std::uint64_t cgroupId = 0;    // 0: the cgroup is gone
  std::string cgroupPath;        // "" where it cannot be told
  // All programs that run at this hook for this cgroup, in running order: sockmesh's own, others,
  // and those of parent cgroups. Empty if the kernel does not tell.
  std::vector<ProgramInfo> order;
};

// One entry for each of programNames(), whether it is pinned or not. An error only if the folder of
// links cannot be read at all.
Result<std::vector<Attachment>> readAttachments(const std::string& bpffsRoot);

// The path of the cgroup with this id. "" if it is gone or no mount shows it. Without
// CAP_DAC_READ_SEARCH the folders of the mounts are walked.
std::string cgroupPath(std::uint64_t id);

// "name#id" of a program. "program#id" if the kernel does not tell its name.
std::string programText(const ProgramInfo& program);

// The programs that run at this hook after our program, in running order.
std::vector<ProgramInfo> behindOurs(const Attachment& attachment);

// How a hook is for this process: in which order programs run depends on its cgroup.
struct HookHere {
  bool runsHere = false;                // our program runs for this process
  std::vector<ProgramInfo> beforeOurs;  // in running order
};
// Nothing if the kernel does not tell, or if the process's cgroup cannot be found.
std::optional<HookHere> runningHere(const Attachment& attachment);

// behindOurs() of the program that is pinned as `link`, as text: "one#12, other#13". "" if there is
// none, or if the kernel does not tell.
std::string programsBehindOurs(const std::string& bpffsRoot, const std::string& link);

}  // namespace sockmesh
