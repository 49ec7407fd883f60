// SPDX-License-Identifier: Apache-2.0
#include "writer/grace_period.h"

#include <bpf/bpf.h>

#include <cerrno>
#include <cstdint>

namespace sockmesh {

Result<std::unique_ptr<BlockingGracePeriod>> BlockingGracePeriod::create() {
  UniqueFd inner(bpf_map_create(BPF_MAP_TYPE_ARRAY, "sm_grace_inner", 4, 4, 1, nullptr));
  if (!inner.valid()) return Error::fromErrno("grace period: inner map", errno);
  LIBBPF_OPTS(bpf_map_create_opts, options, .inner_map_fd = static_cast<__u32>(inner.get()));
  UniqueFd outer(bpf_map_create(BPF_MAP_TYPE_ARRAY_OF_MAPS, "sm_grace", 4, 4, 1, &options));
  if (!outer.valid()) return Error::fromErrno("grace period: outer map", errno);
  return std::unique_ptr<BlockingGracePeriod>(
      new BlockingGracePeriod(std::move(outer), std::move(inner)));
}

void BlockingGracePeriod::after(std::function<void()> then) {
  const std::uint32_t zero = 0;
  const int inner = inner_.get();
  // The call can fail only if the two maps are gone, and this object owns them. To go on without
  // having waited would break the promise that ids are not reused under a reader.
  if (bpf_map_update_elem(outer_.get(), &zero, &inner, BPF_ANY) != 0) std::abort();
  then();
}

Result<std::unique_ptr<BackgroundGracePeriod>> BackgroundGracePeriod::create(Post post) {
  auto wait = BlockingGracePeriod::create();
  if (!wait) return wait.error();
  return std::unique_ptr<BackgroundGracePeriod>(
      new BackgroundGracePeriod(std::move(wait).value(), std::move(post)));
}

BackgroundGracePeriod::BackgroundGracePeriod(std::unique_ptr<BlockingGracePeriod> wait, Post post)
    : wait_(std::move(wait)), post_(std::move(post)), thread_([this] { run(); }) {}

BackgroundGracePeriod::~BackgroundGracePeriod() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void BackgroundGracePeriod::after(std::function<void()> then) {
  {
    const std::lock_guard lock(mutex_);
    waiting_.push_back(std::move(then));
  }
  wake_.notify_one();
}

void BackgroundGracePeriod::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
    if (stopping_) return;
    auto batch = std::move(waiting_);
    waiting_.clear();
    lock.unlock();
    wait_->after([&] {
      for (auto& then : batch) post_(std::move(then));
    });
    lock.lock();
  }
}

}  // namespace sockmesh
