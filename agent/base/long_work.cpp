// SPDX-License-Identifier: Apache-2.0
#include "base/long_work.h"

#include <utility>

namespace sockmesh {

// The semaphores pass the right to run. Everything else is used by whoever has it.
struct LongWork::Job {
  std::function<void()> done;
  std::binary_semaphore go{0};      // for the work's thread
  std::binary_semaphore paused{0};  // for the loop's thread
  bool ended = false;
  bool hurry = false;  // no more pauses
  std::thread thread;

  void pause() {
    if (hurry) return;
    paused.release();
    go.acquire();
  }
  void run(Nanos slice, const Work& work) {
    go.acquire();
    {
      Breather breathe(slice, [this] { pause(); });
      work(breathe);
    }
    ended = true;
    paused.release();
  }
};

LongWork::~LongWork() {
  if (!job_) return;
  job_->hurry = true;
  job_->go.release();
  job_->thread.join();
}

void LongWork::start(Work work, std::function<void()> done) {
  job_ = std::make_shared<Job>();
  job_->done = std::move(done);
  job_->thread = std::thread(
      [job = job_.get(), slice = slice_, work = std::move(work)] { job->run(slice, work); });
  runSlice();
}

void LongWork::run(bool isLong, const Work& work, const std::function<void()>& done) {
  if (isLong) return start(work, done);
  Breather never;
  work(never);
  done();
}

void LongWork::runSlice() {
  job_->go.release();
  job_->paused.acquire();
  if (!job_->ended) {
    loop_.post([this, job = std::weak_ptr<Job>(job_)] {
      if (!job.expired()) runSlice();
    });
    return;
  }
  const std::shared_ptr<Job> job = std::exchange(job_, nullptr);
  job->thread.join();
  job->done();
}

}  // namespace sockmesh
