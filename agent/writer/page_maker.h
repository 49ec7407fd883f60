// SPDX-License-Identifier: Apache-2.0
// Makes pages ahead of need in a thread of its own, so that an update does not wait for the
// kernel's grace periods.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "maps/paged_table.h"

namespace sockmesh {

class PageMaker final : public PageSource {
 public:
  PageMaker() : thread_([this] { run(); }) {}
  // Finishes the pages in progress. Other requested pages are not made.
  ~PageMaker() override;
  PageMaker(const PageMaker&) = delete;
  PageMaker& operator=(const PageMaker&) = delete;

  void make(const std::string& directory, const std::string& name,
            const std::vector<std::uint32_t>& numbers, int outerFd,
            const PageFormat& format) override;
  UniqueFd take(const std::string& name, std::uint32_t number) override;
  // Calls `ready` in the maker's thread, after what was asked for so far.
  void then(std::function<void()> ready);

 private:
  using Page = std::pair<std::string, std::uint32_t>;  // table, number
  struct Job {
    std::string directory;
    std::string name;
    std::vector<std::uint32_t> numbers;
    int outerFd = -1;
    PageFormat format;
    std::function<void()> ready;  // instead of pages
  };
  void run();

  std::mutex mutex_;  // guards all below but the thread
  std::condition_variable changed_;
  std::deque<Job> jobs_;
  std::set<Page> awaited_;  // in jobs_, or being made
  std::map<Page, UniqueFd> made_;
  bool stopping_ = false;
  std::thread thread_;  // last: starts when all else is there
};

}  // namespace sockmesh
