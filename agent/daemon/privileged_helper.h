// SPDX-License-Identifier: Apache-2.0
// A second process, made at the start, that keeps CAP_SYS_ADMIN when the agent gives it up. It
// knows four calls and ends with the agent. It opens no connection and reads nothing except the
// requests of the agent that made it.
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "datapath/privileged_calls.h"

namespace sockmesh {

class PrivilegedHelper final : public PrivilegedCalls {
 public:
  // Forks. Call it before the process has threads, locks or listening sockets, which the helper
  // would share. The helper serves this `bpffsRoot` alone.
  static Result<std::shared_ptr<PrivilegedHelper>> start(const std::string& bpffsRoot);
  // The helper ends.
  ~PrivilegedHelper() override;
  PrivilegedHelper(const PrivilegedHelper&) = delete;
  PrivilegedHelper& operator=(const PrivilegedHelper&) = delete;

  // Any thread; each call waits for its answer. If the helper was killed, a call is an Error.
  Status mountBpffs(const std::string& root) override;
  bool unmountBpffs(const std::string& root) override;
  Result<UniqueFd> openInner(int outer, std::uint32_t index) override;
  // See inspect/attachment_info.h. "" also if nothing is known.
  std::string programsBehindOurs(const std::string& link);

 private:
  explicit PrivilegedHelper(UniqueFd channel, pid_t child)
      : channel_(std::move(channel)), child_(child) {}

  std::mutex mutex_;  // one call at a time
  UniqueFd channel_;
  pid_t child_;
};

}  // namespace sockmesh
