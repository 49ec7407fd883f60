// SPDX-License-Identifier: Apache-2.0
// The network namespaces that paths name, as they come and go. A network plug-in (and `ip netns`)
// mounts each namespace on a file, so a change of the mount table says when to look again. For the
// thread of its loop.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/event_loop.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace sockmesh {

// The inodes of the network namespaces whose paths match shell patterns, and which patterns (by
// index, ascending) matched each. A file that is no network namespace is left out.
std::map<std::uint64_t, std::vector<std::size_t>> findNetns(
    const std::vector<std::string>& patterns);

class NetnsWatch {
 public:
  // `onMounts` is called after each change of the mount table. `loop` outlives this.
  static Result<std::unique_ptr<NetnsWatch>> start(EventLoop& loop, std::function<void()> onMounts);
  ~NetnsWatch();
  NetnsWatch(const NetnsWatch&) = delete;
  NetnsWatch& operator=(const NetnsWatch&) = delete;

 private:
  NetnsWatch(EventLoop& loop, UniqueFd mounts) : loop_(loop), mounts_(std::move(mounts)) {}
  EventLoop& loop_;
  UniqueFd mounts_;
};

}  // namespace sockmesh
