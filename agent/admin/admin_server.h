// SPDX-License-Identifier: Apache-2.0
// The agent's admin server: probes, metrics and dumps over HTTP, for loopback.
//
//   GET  /                   this list
//   GET  /healthz            200 while the process answers
//   GET  /readyz             200, or 503 with the reasons (JSON)
//   GET  /metrics            Prometheus text format 0.0.4; also /stats/prometheus
//   GET  /version            JSON
//   GET  /status             JSON: control plane, map writer, what is configured and not followed
//   GET  /config_dump        JSON: what the control plane configured, decoded
//   GET  /logging            JSON: the level of every scope
//   POST /logging?level=LEVEL or ?SCOPE:LEVEL (also ?SCOPE=LEVEL), several with &
//
// The metrics server is for scrapers on other machines. It serves /healthz, /readyz, /metrics and
// /version, and nothing that changes the agent or shows the configuration.
#pragma once

#include <memory>

#include "admin/admin_state.h"
#include "admin/http_server.h"
#include "base/result.h"
#include "model/address.h"
#include "stats/exposition.h"

namespace sockmesh {

class AdminServer {
 public:
  // `state` outlives the server. `metrics` are collected on the server's threads.
  static Result<std::unique_ptr<AdminServer>> start(const SocketAddress& address,
                                                    const AdminState& state, Collectables metrics);
  static Result<std::unique_ptr<AdminServer>> startMetrics(const SocketAddress& address,
                                                           const AdminState& state,
                                                           Collectables metrics);

  // Where it listens: the port is never 0.
  const SocketAddress& address() const { return http_->address(); }

 private:
  AdminServer() = default;
  static Result<std::unique_ptr<AdminServer>> serve(const SocketAddress& address,
                                                    HttpServer::Handler handler);
  std::unique_ptr<HttpServer> http_;
};

}  // namespace sockmesh
