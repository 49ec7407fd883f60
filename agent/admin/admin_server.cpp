// SPDX-License-Identifier: Apache-2.0
#include "admin/admin_server.h"

#include <functional>
#include <optional>
#include <string_view>
#include <vector>

#include "admin/json_views.h"
#include "admin/logging_handler.h"

namespace sockmesh {
namespace {

struct Route {
  std::string path;
  std::string help;
  bool mutates = false;  // takes POST too
  HttpServer::Handler handle;
};

HttpResponse json(const AdminJson& body, int status = 200) {
  return {status, "application/json", dumpJson(body), ""};
}

HttpResponse text(int status, std::string body) {
  return {status, "text/plain; charset=utf-8", std::move(body), ""};
}

HttpResponse configDump(const AdminState& state) {
  const auto snapshot = state.snapshot.load();
  const auto conflicts = state.conflicts.load();
  return json(configDumpJson(snapshot.get(), conflicts ? *conflicts : std::vector<LeftAlone>{}));
}

HttpResponse vipRoutes(const AdminState& state, const HttpRequest& request) {
  std::optional<SocketAddress> vip;
  for (const auto& [name, value] : request.parameters) {
    if (name != "vip") return text(400, "no parameter " + name + " here; there is vip=IP:PORT\n");
    const auto parsed = SocketAddress::parse(value);
    if (!parsed) return text(400, "vip: " + parsed.error().message() + "\n");
    vip = *parsed;
  }
  return json(routesJson(state.snapshot.load().get(), vip));
}

std::vector<Route> metricsRoutes(const AdminState& state, const Collectables& metrics) {
  const auto exposed = [metrics](const HttpRequest&) {
    return HttpResponse{200, kExpositionContentType, expose(metrics), ""};
  };
  const auto ready = [&state](const HttpRequest&) {
    const AdminJson readiness = readinessJson(state);
    return json(readiness, readiness["ready"].get<bool>() ? 200 : 503);
  };
  return {
      {"/healthz", "200 while the agent answers", false,
       [](const HttpRequest&) { return text(200, "ok\n"); }},
      {"/readyz", "200, or 503 with the reasons", false, ready},
      {"/metrics", "metrics in Prometheus' text format", false, exposed},
      {"/stats/prometheus", "the same", false, exposed},
      {"/version", "the agent's version", false,
       [](const HttpRequest&) { return json(versionJson()); }},
  };
}

std::vector<Route> adminRoutes(const AdminState& state, const Collectables& metrics) {
  std::vector<Route> routes = metricsRoutes(state, metrics);
  routes.push_back({"/status", "control plane, map writer, what is not followed", false,
                    [&state](const HttpRequest&) { return json(statusJson(state)); }});
  routes.push_back({"/config_dump", "what the control plane configured", false,
                    [&state](const HttpRequest&) { return configDump(state); }});
  routes.push_back({"/routes", "how each VIP was made, what was left out; ?vip=IP:PORT", false,
                    [&state](const HttpRequest& request) { return vipRoutes(state, request); }});
  routes.push_back(
      {"/logging", "log levels; POST ?level=LEVEL or ?SCOPE:LEVEL", true, handleLogging});
  return routes;
}

std::string index(const std::vector<Route>& routes) {
  std::string body = "sockmesh\n\n";
  for (const Route& route : routes) {
    body += route.path + std::string(20 - route.path.size(), ' ') + route.help + "\n";
  }
  return body;
}

HttpResponse refuseMethod(const Route& route) {
  HttpResponse response = text(405, "not that method\n");
  response.allow = route.mutates ? "GET, HEAD, POST" : "GET, HEAD";
  return response;
}

HttpResponse dispatch(const std::vector<Route>& routes, const HttpRequest& request) {
  const bool reads = request.method == "GET" || request.method == "HEAD";
  if (request.path == "/" && reads) return text(200, index(routes));
  for (const Route& route : routes) {
    if (route.path != request.path) continue;
    if (!reads && !(route.mutates && request.method == "POST")) return refuseMethod(route);
    // A web page in a browser can send such a POST to loopback. Tools send no Origin.
    if (!reads && request.fromBrowserPage) return text(403, "not from a web page\n");
    return route.handle(request);
  }
  return text(404, "no " + request.path + " here; / lists what there is\n");
}

}  // namespace

Result<std::unique_ptr<AdminServer>> AdminServer::start(const SocketAddress& address,
                                                        const AdminState& state,
                                                        Collectables metrics) {
  return serve(address, [routes = adminRoutes(state, metrics)](const HttpRequest& request) {
    return dispatch(routes, request);
  });
}

Result<std::unique_ptr<AdminServer>> AdminServer::startMetrics(const SocketAddress& address,
                                                               const AdminState& state,
                                                               Collectables metrics) {
  return serve(address, [routes = metricsRoutes(state, metrics)](const HttpRequest& request) {
    return dispatch(routes, request);
  });
}

Result<std::unique_ptr<AdminServer>> AdminServer::serve(const SocketAddress& address,
                                                        HttpServer::Handler handler) {
  auto http = HttpServer::start(address, std::move(handler));
  if (!http) return http.error();
  std::unique_ptr<AdminServer> server(new AdminServer());
  server->http_ = std::move(http).value();
  return server;
}

}  // namespace sockmesh
