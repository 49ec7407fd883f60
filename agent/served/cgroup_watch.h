// SPDX-License-Identifier: Apache-2.0
// The cgroups that match patterns, as they come and go (inotify). Only folders below which a
// pattern may match are watched, so the work is bounded by what patterns name. For the thread of
// its loop.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/event_loop.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "served/path_glob.h"

namespace sockmesh {

// A cgroup that a pattern matches.
struct MatchedCgroup {
  std::uint64_t id = 0;
  std::vector<std::size_t> patterns;  // that match, by index, ascending
  bool operator==(const MatchedCgroup&) const = default;
};

class CgroupWatch {
 public:
  // By path below the root, as "/kubepods.slice".
  using Matches = std::map<std::string, MatchedCgroup>;
  struct Change {
    std::string path;
    const MatchedCgroup* before;  // null: it is new
    const MatchedCgroup* after;   // null: it is gone
  };
  using OnChange = std::function<void(const Change&)>;

  // Looks at what is there, which `onChange` is told as new. `onTurn` follows the changes of a turn
  // of the loop. `loop` outlives this.
  static Result<std::unique_ptr<CgroupWatch>> start(EventLoop& loop, std::string root,
                                                    std::vector<PathGlob> patterns,
                                                    OnChange onChange,
                                                    std::function<void()> onTurn);
  ~CgroupWatch();
  CgroupWatch(const CgroupWatch&) = delete;
  CgroupWatch& operator=(const CgroupWatch&) = delete;

  const Matches& matches() const { return matches_; }
  // Why new cgroups may go unnoticed; "".
  const std::string& problem() const { return problem_; }

 private:
  CgroupWatch(EventLoop& loop, std::string root) : loop_(loop), root_(std::move(root)) {}
  void enter(const std::string& path);
  void look(const std::string& path);
  void forget(const std::string& path);
  void lookAtAll();
  void readEvents();
  void take(int watch, std::uint32_t mask, const std::string& name);

  EventLoop& loop_;
  std::string root_;
  std::vector<PathGlob> patterns_;
  OnChange onChange_;
  std::function<void()> onTurn_;
  UniqueFd inotify_;
  std::map<int, std::string> folders_;  // by watch descriptor; "" is the root
  Matches matches_;
  std::string problem_;
};

}  // namespace sockmesh
