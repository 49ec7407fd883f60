// SPDX-License-Identifier: Apache-2.0
// The connections of the admin server, all on one thread that never waits for a client: each
// connection has a state and a deadline. If there are too many, the oldest connection that no
// worker is busy with is closed, so that a new one is always served.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "admin/http_handlers.h"
#include "admin/http_workers.h"
#include "base/event_loop.h"
#include "base/unique_fd.h"

namespace sockmesh {

// Everything here runs on the loop's thread.
class HttpConnections {
 public:
  // All outlive this.
  HttpConnections(EventLoop& loop, HttpWorkers& workers, const HttpHandlers& handlers,
                  const HttpLimits& limits);
  ~HttpConnections();
  HttpConnections(const HttpConnections&) = delete;
  HttpConnections& operator=(const HttpConnections&) = delete;

  // Serves connections to `listener`, a listening socket that does not block. It outlives this.
  Status serve(int listener, bool isUnix);

 private:
  using Id = std::uint64_t;
  enum class State : std::uint8_t { kReading, kWorking, kWriting, kDraining };
  struct Connection {
    UniqueFd fd;
    std::optional<uid_t> peer;
    State state = State::kReading;
    std::string received;  // of the head
    std::string answer;
    std::size_t written = 0;
    EventLoop::TimerId deadline = 0;
  };

  void accept(int listener, bool isUnix);
  void makeRoom();
  void pause(int listener, bool isUnix);
  void add(UniqueFd fd, bool isUnix);
  void close(Id id);
  void enter(Id id, Connection& connection, State state, Nanos within);
  void onReadable(Id id);
  void onHead(Id id, Connection& connection, std::size_t end);
  void answer(Id id, const HttpResponse& response, bool withBody);
  void onWritable(Id id);
  void onDrain(Id id);

  EventLoop& loop_;
  HttpWorkers& workers_;
  const HttpHandlers& handlers_;
  const HttpLimits limits_;
  std::map<Id, Connection> connections_;         // the oldest first
  std::map<int, EventLoop::TimerId> listeners_;  // and the timer of a paused listener, or 0
  Id nextId_ = 1;
  std::shared_ptr<HttpConnections*> self_;  // for the workers' answers that come later
};

}  // namespace sockmesh
