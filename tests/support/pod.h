// SPDX-License-Identifier: Apache-2.0
// A client in a network namespace of its own, as a pod is: a child process on a veth pair to the
// test's namespace. It lives in the caller's cgroup, so the hooks see its connects.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "model/address.h"
#include "support/process.h"

namespace sockmesh::test {

class Pod {
 public:
  // 10.98.`number`.2, with the test's namespace as its gateway.
  // `cgroup`: the folder of the pod's cgroup; empty: the caller's.
  static Result<std::unique_ptr<Pod>> create(int number, const std::string& cgroup = "");
  ~Pod();
  Pod(const Pod&) = delete;
  Pod& operator=(const Pod&) = delete;

  // A connect() of the pod, closed again: its errno or 0; ETIMEDOUT if it gave up after `patience`.
  int connect(const SocketAddress& address,
              std::chrono::milliseconds patience = std::chrono::seconds(5));
  // A socket that was made in the pod's namespace, for use in the test's process.
  UniqueFd socketInside(int family, int type) const;
  // Its process, for cgroups and /proc/PID/ns/net.
  pid_t pid() const { return pid_; }
  // Runs a command in the pod's namespace.
  Ran exec(std::vector<std::string> command) const;

 private:
  Pod() = default;
  [[noreturn]] static void serve(int channel);

  pid_t pid_ = -1;
  UniqueFd channel_;
  std::string device_;
};

// An address of the test's own namespace, on loopback, that pods reach.
Status addAddress(const std::string& ip);

}  // namespace sockmesh::test
