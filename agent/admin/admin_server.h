// SPDX-License-Identifier: Apache-2.0
// The agent's admin server: probes, metrics and dumps over HTTP. Reads are for everybody who
// reaches the TCP address. Changes are only for root and the agent's own user, on the Unix socket.
//
//   GET  /                   this list
//   GET  /healthz            200 while the process answers
//   GET  /readyz             200, or 503 with the reasons (JSON)
//   GET  /metrics            Prometheus text format 0.0.4; also /stats/prometheus
//   GET  /version            JSON
//   GET  /status             JSON: control plane, map writer, what is configured and not followed
//   GET  /config_dump        JSON: what the control plane configured, decoded
//   GET  /verify             JSON: where control plane, tables and kernel differ; 503 and why it is
//   not known POST /repair             writes the tables again; answers when they are written; Unix
//   socket GET  /logging            JSON: the level of every scope POST /logging?level=LEVEL or
//   ?SCOPE:LEVEL (also ?SCOPE=LEVEL), several with &; Unix socket
//
// A request over TCP needs a Host that is an IP address, "localhost" or a name of `allowedHosts`.
// So a web page cannot read the server by a name of its own that leads to loopback (DNS rebinding).
//
// The metrics server is for scrapers on other machines. It serves /healthz, /readyz, /metrics and
// /version, and nothing that changes the agent or shows the configuration. Host may be any name.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "admin/admin_state.h"
#include "admin/http_server.h"
#include "base/result.h"
#include "model/drift.h"
#include "stats/exposition.h"

namespace sockmesh {

struct AdminOptions {
  std::vector<std::string> allowedHosts;  // further names for Host, in lower case
  HttpLimits limits = {};
  // For /verify and /repair. Called on threads of the server, and may take seconds. Without them
  // the server does not have these paths.
  std::function<Result<DriftReport>()> verify = {};
  std::function<Status()> repair = {};
  // See HttpHandlers.
  std::function<void()> onConnectionThread = {};
  std::function<void()> onWorkerThread = {};
};

class AdminServer {
 public:
  // `state` outlives the server. `metrics` are collected on the server's threads.
  static Result<std::unique_ptr<AdminServer>> start(HttpListeners listeners,
                                                    const AdminState& state, Collectables metrics,
                                                    const AdminOptions& options = {});
  // Takes no `allowedHosts`.
  static Result<std::unique_ptr<AdminServer>> startMetrics(HttpListeners listeners,
                                                           const AdminState& state,
                                                           Collectables metrics,
                                                           const AdminOptions& options = {});

  // Where the server listens.
  const HttpListeners& listeners() const { return http_->listeners(); }

 private:
  class Router;
  AdminServer() = default;
  static Result<std::unique_ptr<AdminServer>> serve(HttpListeners listeners,
                                                    std::shared_ptr<const Router> router,
                                                    const AdminOptions& options);
  std::unique_ptr<HttpServer> http_;
};

}  // namespace sockmesh
