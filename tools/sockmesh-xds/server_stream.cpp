// SPDX-License-Identifier: Apache-2.0
#include "server_stream.h"

#include <utility>

namespace sockmesh {

ServerStream* ServerStream::open(EventLoop& loop, std::string peer, Events events) {
  std::shared_ptr<ServerStream> stream(new ServerStream(loop, std::move(peer), std::move(events)));
  stream->self_ = stream;
  loop.post([stream] { stream->events_.onOpen(stream); });
  return stream.get();
}

void ServerStream::send(Response response) {
  const std::lock_guard lock(mutex_);
  if (finishing_) return;
  outgoing_.push_back(std::move(response));
  if (outgoing_.size() == 1) StartWrite(&outgoing_.front());
}

void ServerStream::receiveNext() {
  const std::lock_guard lock(mutex_);
  if (!finishing_) StartRead(&incoming_);
}

void ServerStream::finish(grpc::Status status) {
  const std::lock_guard lock(mutex_);
  finishLocked(std::move(status));
}

void ServerStream::finishLocked(grpc::Status status) {
  if (std::exchange(finishing_, true)) return;
  finalStatus_ = std::move(status);
  if (outgoing_.empty()) Finish(finalStatus_);
}

void ServerStream::OnReadDone(bool ok) {
  if (!ok) return finish(grpc::Status::OK);
  loop_.post([self = shared_from_this(), request = std::move(incoming_)] {
    self->events_.onRequest(self, request);
  });
}

void ServerStream::OnWriteDone(bool ok) {
  const std::lock_guard lock(mutex_);
  outgoing_.pop_front();
  if (!ok) outgoing_.clear();
  if (finishing_) {
    outgoing_.clear();
    Finish(finalStatus_);
  } else if (!ok) {
    finishLocked(grpc::Status::CANCELLED);
  } else if (!outgoing_.empty()) {
    StartWrite(&outgoing_.front());
  }
}

void ServerStream::OnDone() {
  const auto self = std::move(self_);
  loop_.post([self] { self->events_.onClosed(self); });
}

}  // namespace sockmesh
