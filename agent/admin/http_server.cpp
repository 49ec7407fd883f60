// SPDX-License-Identifier: Apache-2.0
#include "admin/http_server.h"

#include <optional>
#include <thread>
#include <utility>

#include "admin/http_connections.h"
#include "admin/http_workers.h"
#include "base/event_loop.h"

namespace sockmesh {

// The loop ends first, so that no request reaches a worker any more. Workers still post to the
// loop, which goes last, and use the handlers.
struct HttpServer::Threads {
  std::unique_ptr<EventLoop> loop;
  std::optional<HttpWorkers> workers;
  std::optional<HttpConnections> connections;
  std::thread thread;

  ~Threads() {
    loop->stop();
    if (thread.joinable()) thread.join();
    workers.reset();
    connections.reset();
  }
};

HttpServer::HttpServer(HttpListeners listeners, HttpHandlers handlers)
    : listeners_(std::move(listeners)), handlers_(std::move(handlers)) {}

HttpServer::~HttpServer() = default;

Result<std::unique_ptr<HttpServer>> HttpServer::start(HttpListeners listeners,
                                                      HttpHandlers handlers,
                                                      const HttpLimits& limits) {
  std::unique_ptr<HttpServer> server(new HttpServer(std::move(listeners), std::move(handlers)));
  auto loop = EventLoop::create();
  if (!loop) return loop.error();
  server->threads_ = std::make_unique<Threads>();
  Threads& threads = *server->threads_;
  threads.loop = std::move(loop).value();
  threads.workers.emplace(limits.workers, limits.waiting, server->handlers_.onWorkerThread);
  threads.connections.emplace(*threads.loop, *threads.workers, server->handlers_, limits);
  Status served = threads.connections->serve(server->listeners_.tcp(), false);
  if (served && server->listeners_.unixSocket() >= 0) {
    served = threads.connections->serve(server->listeners_.unixSocket(), true);
  }
  if (!served) return served.error();
  threads.thread = std::thread([&threads, &handlers = server->handlers_] {
    if (handlers.onConnectionThread) handlers.onConnectionThread();
    threads.loop->run();
  });
  return server;
}

}  // namespace sockmesh
