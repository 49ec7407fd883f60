// SPDX-License-Identifier: Apache-2.0
// A small HTTP/1.1 server: one thread for all connections, and a few threads for requests whose
// answer takes time. A client that sends or reads slowly holds no thread.
#pragma once

#include <memory>

#include "admin/http_handlers.h"
#include "admin/http_listeners.h"
#include "base/result.h"

namespace sockmesh {

class HttpServer {
 public:
  static Result<std::unique_ptr<HttpServer>> start(HttpListeners listeners, HttpHandlers handlers,
                                                   const HttpLimits& limits = {});
  // Waits for requests that workers are busy with. All connections are closed.
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  const HttpListeners& listeners() const { return listeners_; }

 private:
  struct Threads;
  HttpServer(HttpListeners listeners, HttpHandlers handlers);

  HttpListeners listeners_;
  HttpHandlers handlers_;
  std::unique_ptr<Threads> threads_;
};

}  // namespace sockmesh
