// SPDX-License-Identifier: Apache-2.0
#include "writer/page_maker.h"

#include "base/log.h"

namespace sockmesh {

PageMaker::~PageMaker() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void PageMaker::make(const std::string& directory, const std::string& name,
                     const std::vector<std::uint32_t>& numbers, int outerFd,
                     const PageFormat& format) {
  Job job{directory, name, {}, outerFd, format, {}};
  {
    const std::lock_guard lock(mutex_);
    for (const std::uint32_t number : numbers) {
      const Page page{name, number};
      if (made_.contains(page) || !awaited_.insert(page).second) continue;
      job.numbers.push_back(number);
    }
    if (job.numbers.empty()) return;
    jobs_.push_back(std::move(job));
  }
  changed_.notify_all();
}

void PageMaker::then(std::function<void()> ready) {
  Job job;
  job.ready = std::move(ready);
  {
    const std::lock_guard lock(mutex_);
    jobs_.push_back(std::move(job));
  }
  changed_.notify_all();
}

UniqueFd PageMaker::take(const std::string& name, std::uint32_t number) {
  const Page page{name, number};
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return !awaited_.contains(page); });
  const auto found = made_.find(page);
  if (found == made_.end()) return {};
  UniqueFd fd = std::move(found->second);
  made_.erase(found);
  return fd;
}

void PageMaker::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
    if (stopping_) return;
    const Job job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    if (job.ready) {
      job.ready();
      lock.lock();
      continue;
    }
    auto pages = createPages(job.directory, job.name, job.numbers, job.outerFd, job.format);
    // The caller that needs the page makes it then, and reports the error.
    if (!pages) logger("datapath")->debug("pages ahead of need: {}", pages.error().message());
    lock.lock();
    for (std::size_t i = 0; i < job.numbers.size(); ++i) {
      const Page page{job.name, job.numbers[i]};
      awaited_.erase(page);
      if (pages) made_[page] = std::move((*pages)[i]);
    }
    changed_.notify_all();
  }
}

}  // namespace sockmesh
