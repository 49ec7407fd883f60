// SPDX-License-Identifier: Apache-2.0
// Reports that something below a folder may have changed: a file was written, moved or removed, a
// folder came or went, or a symbolic link was replaced (Kubernetes ConfigMaps, the folder itself).
#pragma once

#include <filesystem>
#include <functional>
#include <memory>

#include "base/event_loop.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace sockmesh {

// Lives on the loop's thread.
class FolderWatch {
 public:
  // Events within this time of each other are one change; a change never waits for longer than
  // kLongestWait.
  static constexpr Nanos kQuietTime = std::chrono::milliseconds(50);
  static constexpr Nanos kLongestWait = std::chrono::milliseconds(500);

  // Runs after each change; an Error says that part of the tree cannot be watched at present.
  using OnChange = std::function<void(const Status&)>;

  // `loop` outlives the watch. Fails when the folder is not there.
  static Result<std::unique_ptr<FolderWatch>> start(EventLoop& loop, std::filesystem::path folder,
                                                    OnChange onChange);
  ~FolderWatch();
  FolderWatch(const FolderWatch&) = delete;
  FolderWatch& operator=(const FolderWatch&) = delete;

 private:
  FolderWatch(EventLoop& loop, std::filesystem::path folder, OnChange onChange)
      : loop_(loop), folder_(std::move(folder)), onChange_(std::move(onChange)) {}

  // Watches the tree as it is now, in place of what was watched before. After an Error everything
  // that can be watched is watched.
  Status watchTree();
  Status watchFolders(int inotify) const;
  // Reads the present events. True if one of them matters.
  bool drainEvents();
  void onEvents();
  void fire();

  EventLoop& loop_;
  std::filesystem::path folder_;
  OnChange onChange_;
  UniqueFd inotify_;
  int parentWatch_ = -1;  // of the folder's parent: only the folder's own name matters there
  EventLoop::TimerId timer_ = 0;
  Nanos firstEvent_{0};  // CLOCK_MONOTONIC, of the change that is waiting
  SystemClock clock_;
};

}  // namespace sockmesh
