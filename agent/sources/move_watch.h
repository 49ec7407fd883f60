// SPDX-License-Identifier: Apache-2.0
// Reports that something was moved into a directory: an atomic replacement of a file, or of the
// symbolic link under which Kubernetes has the files of a ConfigMap. What is written in place is
// not reported, because a reader may find half of it. As Envoy's path_config_source.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "base/event_loop.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace sockmesh {

// Lives on the loop's thread.
class MoveWatch {
 public:
  // How often a directory that is not there is looked for.
  static constexpr Nanos kRetry = std::chrono::seconds(1);

  // `onMove` gets the directory. It is also called when a directory is there after it was not.
  // `loop` outlives the watch.
  static Result<std::unique_ptr<MoveWatch>> create(
      EventLoop& loop, std::function<void(const std::string& directory)> onMove);
  ~MoveWatch();
  MoveWatch(const MoveWatch&) = delete;
  MoveWatch& operator=(const MoveWatch&) = delete;

  // From now on. What was moved before the call is not reported.
  void add(const std::string& directory);

 private:
  MoveWatch(EventLoop& loop, UniqueFd inotify, std::function<void(const std::string&)> onMove)
      : loop_(loop), inotify_(std::move(inotify)), onMove_(std::move(onMove)) {}

  bool watch(const std::string& directory);
  void onEvents();
  void retryLater();

  EventLoop& loop_;
  UniqueFd inotify_;
  std::function<void(const std::string&)> onMove_;
  std::map<int, std::string> directories_;  // by watch
  std::set<std::string> absent_;
  EventLoop::TimerId timer_ = 0;
};

}  // namespace sockmesh
