// SPDX-License-Identifier: Apache-2.0
// Watches selections on a thread of its own, so that a look at a large node neither ends the watch
// nor loses what is shown meanwhile.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "inspect/selection_watch.h"
#include "selection_list.h"

namespace sockmesh::ctl {

class SelectionFeed {
 public:
  // What is kept for one take(), at most. What comes beyond is counted as lost.
  static constexpr std::size_t kKept = 10'000;

  // Watches from now on until its end. For the rest see SelectionWatch.
  static Result<std::unique_ptr<SelectionFeed>> start(const std::string& bpffsRoot,
                                                      std::uint32_t oneIn);

  // What was seen since the call before, or why the watch has ended.
  Result<WatchedSelections> take();

 private:
  SelectionFeed(const std::string& bpffsRoot, std::uint32_t oneIn);
  // False: the watch has ended.
  bool look();
  void run(const std::stop_token& stop);

  std::uint32_t oneIn_;
  std::mutex mutex_;
  SelectionWatch watch_;  // guarded by mutex_, as what follows
  WatchedSelections seen_;
  std::optional<Error> problem_;
  std::condition_variable_any wake_;
  std::jthread thread_;  // last: it uses the others
};

}  // namespace sockmesh::ctl
