// SPDX-License-Identifier: Apache-2.0
// A place for tests on the real kernel: a network namespace with loopback up, a cgroup below the
// true root, a bpffs of its own. Several test processes can run at once.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"

namespace sockmesh::test {

// Once per process, before threads: own mount and network namespaces. What a killed process leaves
// behind (an empty cgroup) is removed by the next one.
Status enterNamespaces();

// A cgroup and a bpffs for one test. The calling process lives in the cgroup while this exists.
class Sandbox {
 public:
  static Result<std::unique_ptr<Sandbox>> create();
  ~Sandbox();
  Sandbox(const Sandbox&) = delete;
  Sandbox& operator=(const Sandbox&) = delete;

  const std::string& cgroup() const { return cgroup_; }
  const std::string& bpffs() const { return bpffs_; }
  // A directory that vanishes with the sandbox.
  const std::string& folder() const { return folder_; }

  // Moves a process (0: the caller) into the sandbox's cgroup, or back out to where it came from.
  Status enter(int pid = 0) const;
  Status leave(int pid = 0) const;

 private:
  Sandbox() = default;
  std::string home_;  // the cgroup that the process came from
  std::string cgroup_;
  std::string folder_;
  std::string bpffs_;
};

}  // namespace sockmesh::test
