// SPDX-License-Identifier: Apache-2.0
#include "base/event_loop.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

namespace sockmesh {

Result<std::unique_ptr<EventLoop>> EventLoop::create() {
  UniqueFd epoll(epoll_create1(EPOLL_CLOEXEC));
  if (!epoll.valid()) return Error::fromErrno("epoll_create1", errno);
  UniqueFd wake(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake.valid()) return Error::fromErrno("eventfd", errno);
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = wake.get();
  if (epoll_ctl(epoll.get(), EPOLL_CTL_ADD, wake.get(), &event) != 0) {
    return Error::fromErrno("epoll_ctl", errno);
  }
  return std::unique_ptr<EventLoop>(new EventLoop(std::move(epoll), std::move(wake)));
}

void EventLoop::post(Task task) {
  {
    const std::lock_guard lock(mutex_);
    posted_.push_back(std::move(task));
  }
  const std::uint64_t one = 1;
  // A full eventfd counter already means "wake up", so the result does not matter.
  [[maybe_unused]] const ssize_t written = ::write(wake_.get(), &one, sizeof(one));
}

void EventLoop::stop() {
  stopped_ = true;
  post([] {});
}

EventLoop::TimerId EventLoop::after(Nanos delay, Task task) {
  const TimerId id = nextTimer_++;
  const Nanos deadline = clock_.monotonic() + delay;
  timers_.emplace(std::pair(deadline, id), std::move(task));
  deadlines_.emplace(id, deadline);
  return id;
}

void EventLoop::cancel(TimerId id) {
  const auto found = deadlines_.find(id);
  if (found == deadlines_.end()) return;
  timers_.erase({found->second, id});
  deadlines_.erase(found);
}

Status EventLoop::watch(int fd, Task onReadable) {
  return watchFor(fd, EPOLLIN, std::move(onReadable));
}

Status EventLoop::watchWritable(int fd, Task onWritable) {
  return watchFor(fd, EPOLLOUT, std::move(onWritable));
}

Status EventLoop::watchUrgent(int fd, Task onUrgent) {
  return watchFor(fd, EPOLLPRI, std::move(onUrgent));
}

Status EventLoop::watchFor(int fd, std::uint32_t events, Task task) {
  epoll_event event{};
  event.events = events;
  event.data.fd = fd;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
    return Error::fromErrno("epoll_ctl", errno);
  }
  watched_[fd] = std::move(task);
  return {};
}

void EventLoop::unwatch(int fd) {
  if (watched_.erase(fd) > 0) epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
}

void EventLoop::runPosted() {
  std::deque<Task> tasks;
  {
    const std::lock_guard lock(mutex_);
    tasks.swap(posted_);
  }
  for (Task& task : tasks) task();
}

void EventLoop::runTimers() {
  const Nanos now = clock_.monotonic();
  while (!timers_.empty() && timers_.begin()->first.first <= now) {
    auto node = timers_.extract(timers_.begin());
    deadlines_.erase(node.key().second);
    node.mapped()();
  }
}

int EventLoop::timeoutMillis() const {
  if (timers_.empty()) return -1;
  const Nanos left = timers_.begin()->first.first - clock_.monotonic();
  if (left <= Nanos(0)) return 0;
  // Rounded up: a timer never fires early, and a loop never spins on the last fraction.
  const auto millis = std::chrono::ceil<std::chrono::milliseconds>(left).count();
  return static_cast<int>(std::min<std::int64_t>(millis, 60'000));
}

// Something is to be read from `fd`.
void EventLoop::runReady(int fd) {
  if (fd == wake_.get()) {
    std::uint64_t drained = 0;
    [[maybe_unused]] const ssize_t got = ::read(fd, &drained, sizeof(drained));
    return;
  }
  const auto found = watched_.find(fd);
  if (found == watched_.end()) return;
  // A copy, because the handler may unwatch its own descriptor or another one of this batch.
  const Task handler = found->second;
  handler();
}

void EventLoop::run() {
  std::array<epoll_event, 64> events{};
  while (!stopped_) {
    const int ready = epoll_wait(epoll_.get(), events.data(), events.size(), timeoutMillis());
    const Nanos began = clock_.monotonic();
    for (int i = 0; i < ready; ++i) runReady(events[static_cast<std::size_t>(i)].data.fd);
    runPosted();
    runTimers();
    turnTimes_.observe(clock_.monotonic() - began);
  }
}

}  // namespace sockmesh
