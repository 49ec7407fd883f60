// SPDX-License-Identifier: Apache-2.0
// What answers HTTP requests, and what clients may use of the server.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>

#include "admin/http_message.h"
#include "base/clock.h"

namespace sockmesh {

struct HttpHandlers {
  // Answers on the thread that serves all connections, so it must not wait for anything. No value:
  // `handle` is to answer.
  std::function<std::optional<HttpResponse>(const HttpRequest&)> atOnce;
  // Called on several threads at once. Must not throw.
  std::function<HttpResponse(const HttpRequest&)> handle;
  // Called first on the thread of the connections, and first on each thread of `handle`. Optional.
  std::function<void()> onConnectionThread = {};
  std::function<void()> onWorkerThread = {};
};

struct HttpLimits {
  std::size_t connections = 64;
  std::size_t workers = 2;
  std::size_t waiting = 16;  // requests that wait for a worker; more are answered with 503
  std::size_t headBytes = 16 * 1024;
  Nanos head = std::chrono::seconds(5);     // from accept() to the end of the head
  Nanos answer = std::chrono::seconds(10);  // for the client to take the answer
  Nanos drain = std::chrono::seconds(2);    // for the client to close
};

}  // namespace sockmesh
