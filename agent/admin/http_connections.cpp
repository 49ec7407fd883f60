// SPDX-License-Identifier: Apache-2.0
#include "admin/http_connections.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/free_memory.h"
#include "base/log.h"

namespace sockmesh {
namespace {

// Connections that are accepted in one turn of the loop.
constexpr int kAcceptedPerTurn = 16;
// A listener rests for this long if the process has no descriptors left.
constexpr Nanos kPause = std::chrono::milliseconds(100);

std::optional<uid_t> peerOf(int fd) {
  ucred peer{};
  socklen_t length = sizeof(peer);
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0) return std::nullopt;
  return peer.uid;
}

bool wouldBlock() {
  return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

}  // namespace

HttpConnections::HttpConnections(EventLoop& loop, HttpWorkers& workers,
                                 const HttpHandlers& handlers, const HttpLimits& limits)
    : loop_(loop),
      workers_(workers),
      handlers_(handlers),
      limits_(limits),
      self_(std::make_shared<HttpConnections*>(this)) {}

HttpConnections::~HttpConnections() {
  *self_ = nullptr;
  while (!connections_.empty()) close(connections_.begin()->first);
  for (const auto& [listener, timer] : listeners_) {
    loop_.cancel(timer);
    loop_.unwatch(listener);
  }
}

Status HttpConnections::serve(int listener, bool isUnix) {
  listeners_[listener] = 0;
  return loop_.watch(listener, [this, listener, isUnix] { accept(listener, isUnix); });
}

void HttpConnections::accept(int listener, bool isUnix) {
  for (int i = 0; i < kAcceptedPerTurn; ++i) {
    UniqueFd fd(accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (fd.valid()) {
      makeRoom();
      add(std::move(fd), isUnix);
    } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
      return pause(listener, isUnix);
    } else if (wouldBlock()) {
      return;
    }
  }
}

// Otherwise the loop would spin, because the connection that cannot be accepted stays.
void HttpConnections::pause(int listener, bool isUnix) {
  logger("admin")->warn("cannot accept a connection: {}", std::strerror(errno));
  loop_.unwatch(listener);
  listeners_[listener] = loop_.after(kPause, [this, listener, isUnix] {
    [[maybe_unused]] const Status watched = serve(listener, isUnix);
  });
}

void HttpConnections::makeRoom() {
  if (connections_.size() < limits_.connections) return;
  const auto idle = std::ranges::find_if(
      connections_, [](const auto& entry) { return entry.second.state != State::kWorking; });
  if (idle != connections_.end()) close(idle->first);
}

void HttpConnections::add(UniqueFd fd, bool isUnix) {
  const Id id = nextId_++;
  Connection& connection = connections_[id];
  connection.fd = std::move(fd);
  if (isUnix) connection.peer = peerOf(connection.fd.get());
  enter(id, connection, State::kReading, limits_.head);
  const Status watched = loop_.watch(connection.fd.get(), [this, id] { onReadable(id); });
  if (!watched) close(id);
}

void HttpConnections::close(Id id) {
  const auto found = connections_.find(id);
  if (found == connections_.end()) return;
  loop_.cancel(found->second.deadline);
  loop_.unwatch(found->second.fd.get());
  connections_.erase(found);
}

// A worker has no deadline: its request is complete, and it needs nothing of the client.
void HttpConnections::enter(Id id, Connection& connection, State state, Nanos within) {
  connection.state = state;
  loop_.cancel(std::exchange(connection.deadline, 0));
  if (state == State::kWorking) return;
  connection.deadline = loop_.after(within, [this, id] { close(id); });
}

void HttpConnections::onReadable(Id id) {
  Connection& connection = connections_.at(id);
  std::array<char, 4096> chunk{};
  const ssize_t got = recv(connection.fd.get(), chunk.data(), chunk.size(), 0);
  if (got < 0 && wouldBlock()) return;
  if (got <= 0) return close(id);
  connection.received.append(chunk.data(), static_cast<std::size_t>(got));
  const std::size_t end = headEnd(connection.received);
  const bool complete = end != std::string::npos;
  if ((complete ? end : connection.received.size()) > limits_.headBytes) {
    answer(id, textResponse(431, "the headers are too long\n"), true);
  } else if (complete) {
    onHead(id, connection, end);
  }
}

void HttpConnections::onHead(Id id, Connection& connection, std::size_t end) {
  loop_.unwatch(connection.fd.get());
  ParsedRequest parsed = parseRequest(std::string_view(connection.received).substr(0, end));
  connection.received = {};
  if (parsed.refusal) return answer(id, *parsed.refusal, true);
  HttpRequest request = std::move(parsed.request);
  request.peer = connection.peer;
  const bool withBody = request.method != "HEAD";
  if (const auto quick = handlers_.atOnce(request)) return answer(id, *quick, withBody);
  enter(id, connection, State::kWorking, {});
  const bool taken = workers_.run([this, id, withBody, request = std::move(request), self = self_] {
    auto response = std::make_shared<const HttpResponse>(handlers_.handle(request));
    const bool large = response->body.size() >= kLeavesMuchFree;
    loop_.post([id, withBody, response = std::move(response), self] {
      if (*self != nullptr) (*self)->answer(id, *response, withBody);
    });
    // What the answer was made of.
    if (large) returnFreeMemory();
  });
  if (!taken) answer(id, textResponse(503, "too many requests at once\n"), withBody);
}

void HttpConnections::answer(Id id, const HttpResponse& response, bool withBody) {
  const auto found = connections_.find(id);
  if (found == connections_.end()) return;
  Connection& connection = found->second;
  loop_.unwatch(connection.fd.get());
  connection.answer = serialize(response, withBody);
  enter(id, connection, State::kWriting, limits_.answer);
  const Status watched = loop_.watchWritable(connection.fd.get(), [this, id] { onWritable(id); });
  if (!watched) close(id);
}

void HttpConnections::onWritable(Id id) {
  Connection& connection = connections_.at(id);
  const std::string_view rest = std::string_view(connection.answer).substr(connection.written);
  const ssize_t sent = send(connection.fd.get(), rest.data(), rest.size(), MSG_NOSIGNAL);
  if (sent < 0 && wouldBlock()) return;
  if (sent < 0) return close(id);
  connection.written += static_cast<std::size_t>(sent);
  if (connection.written < connection.answer.size()) return;
  // To close with unread data would reset the connection, and the client could lose the answer.
  connection.answer = {};
  shutdown(connection.fd.get(), SHUT_WR);
  loop_.unwatch(connection.fd.get());
  enter(id, connection, State::kDraining, limits_.drain);
  const Status watched = loop_.watch(connection.fd.get(), [this, id] { onDrain(id); });
  if (!watched) close(id);
}

void HttpConnections::onDrain(Id id) {
  std::array<char, 16384> chunk{};
  const ssize_t got = recv(connections_.at(id).fd.get(), chunk.data(), chunk.size(), 0);
  if (got > 0 || (got < 0 && wouldBlock())) return;
  close(id);
}

}  // namespace sockmesh
