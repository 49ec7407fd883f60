// SPDX-License-Identifier: Apache-2.0
#include "selection_feed.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/clock.h"

namespace sockmesh::ctl {
namespace {

// The ring holds what comes in this time at 20,000 selections a second.
constexpr auto kPause = std::chrono::milliseconds(100);

std::int64_t realMinusMonotonic() {
  const auto real = std::chrono::system_clock::now().time_since_epoch();
  return (std::chrono::duration_cast<Nanos>(real) - SystemClock().monotonic()).count();
}

}  // namespace

SelectionFeed::SelectionFeed(const std::string& bpffsRoot, std::uint32_t oneIn)
    : oneIn_(oneIn), watch_(bpffsRoot, oneIn) {}

Result<std::unique_ptr<SelectionFeed>> SelectionFeed::start(const std::string& bpffsRoot,
                                                            std::uint32_t oneIn) {
  std::unique_ptr<SelectionFeed> feed(new SelectionFeed(bpffsRoot, oneIn));
  if (!feed->look()) return *feed->problem_;
  feed->thread_ = std::jthread([raw = feed.get()](const std::stop_token& stop) { raw->run(stop); });
  return feed;
}

bool SelectionFeed::look() {
  const std::lock_guard lock(mutex_);
  auto seen = watch_.next(SystemClock().monotonic());
  if (!seen) {
    problem_ = seen.error();
    return false;
  }
  const std::size_t room = kKept - seen_.selections.size();
  const std::size_t taken = std::min(room, seen->selections.size());
  seen_.selections.insert(seen_.selections.end(), seen->selections.begin(),
                          seen->selections.begin() + static_cast<std::ptrdiff_t>(taken));
  seen_.lost += seen->lost + (seen->selections.size() - taken);
  return true;
}

void SelectionFeed::run(const std::stop_token& stop) {
  while (!stop.stop_requested() && look()) {
    std::unique_lock lock(mutex_);
    wake_.wait_for(lock, stop, kPause, [] { return false; });
  }
}

Result<WatchedSelections> SelectionFeed::take() {
  if (!look()) return *problem_;
  const std::lock_guard lock(mutex_);
  WatchedSelections seen = std::exchange(seen_, {});
  seen.oneIn = oneIn_;
  seen.realMinusMonotonicNs = realMinusMonotonic();
  return seen;
}

}  // namespace sockmesh::ctl
