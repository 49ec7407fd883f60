// SPDX-License-Identifier: Apache-2.0
#include "admin/admin_server.h"

#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "admin/json_views.h"
#include "admin/logging_handler.h"

namespace sockmesh {
namespace {

struct Route {
  enum class Kind : std::uint8_t {
    kQuick,       // answered at once, whatever else goes on
    kSlow,        // reads maps or makes long texts: a worker answers
    kChanges,     // takes POST too, on the Unix socket; quick
    kSlowChange,  // takes POST alone, on the Unix socket; a worker answers
  };
  std::string path;
  std::string help;
  Kind kind = Kind::kSlow;
  std::function<HttpResponse(const HttpRequest&)> handle;
};

HttpResponse json(const AdminJson& body, int status = 200) {
  return {status, "application/json", dumpJson(body)};
}

HttpResponse configDump(const AdminState& state) {
  const auto snapshot = state.snapshot.load();
  const auto conflicts = state.conflicts.load();
  AdminJson dump =
      configDumpJson(snapshot.get(), conflicts ? *conflicts : std::vector<LeftAlone>{});
  const auto stats = state.stats.load();
  dump["dns"] = dnsHostsJson(stats ? stats->dns : DnsStats());
  return json(dump);
}

HttpResponse names(const AdminState& state) {
  const auto stats = state.stats.load();
  return json(namesJson(state.snapshot.load().get(), stats ? stats->dns : DnsStats()));
}

HttpResponse vipRoutes(const AdminState& state, const HttpRequest& request) {
  std::optional<SocketAddress> vip;
  for (const auto& [name, value] : request.parameters) {
    if (name != "vip")
      return textResponse(400, "no parameter " + name + " here; there is vip=IP:PORT\n");
    const auto parsed = SocketAddress::parse(value);
    if (!parsed) return textResponse(400, "vip: " + parsed.error().message() + "\n");
    vip = *parsed;
  }
  return json(routesJson(state.snapshot.load().get(), vip));
}

std::vector<Route> metricsRoutes(const AdminState& state, const Collectables& metrics) {
  const auto exposed = [metrics](const HttpRequest&) {
    return HttpResponse{200, kExpositionContentType, expose(metrics)};
  };
  const auto ready = [&state](const HttpRequest&) {
    const AdminJson readiness = readinessJson(state);
    return json(readiness, readiness["ready"].get<bool>() ? 200 : 503);
  };
  using enum Route::Kind;
  return {
      {"/healthz", "200 while the agent answers", kQuick,
       [](const HttpRequest&) { return textResponse(200, "ok\n"); }},
      {"/readyz", "200, or 503 with the reasons", kQuick, ready},
      {"/metrics", "metrics in Prometheus' text format", kSlow, exposed},
      {"/stats/prometheus", "the same", kSlow, exposed},
      {"/version", "the agent's version", kQuick,
       [](const HttpRequest&) { return json(versionJson()); }},
  };
}

HttpResponse verifyAnswer(const Result<DriftReport>& report) {
  if (!report) return textResponse(503, report.error().message() + "\n");
  return json(verifyJson(*report));
}

HttpResponse repairAnswer(const Status& repaired) {
  if (!repaired) return textResponse(503, repaired.error().message() + "\n");
  return json({{"schemaVersion", kAdminSchemaVersion}, {"kind", "Repair"}, {"repaired", true}});
}

void addVerifyRoutes(const AdminOptions& options, std::vector<Route>& routes) {
  using enum Route::Kind;
  if (options.verify) {
    routes.push_back(
        {"/verify", "where control plane, tables and kernel differ", kSlow,
         [verify = options.verify](const HttpRequest&) { return verifyAnswer(verify()); }});
  }
  if (options.repair) {
    routes.push_back(
        {"/repair", "POST writes the tables again; on the Unix socket", kSlowChange,
         [repair = options.repair](const HttpRequest&) { return repairAnswer(repair()); }});
  }
}

std::vector<Route> adminRoutes(const AdminState& state, const Collectables& metrics,
                               const AdminOptions& options) {
  using enum Route::Kind;
  std::vector<Route> routes = metricsRoutes(state, metrics);
  routes.push_back({"/status", "control plane, map writer, what is not honoured", kSlow,
                    [&state](const HttpRequest&) { return json(statusJson(state)); }});
  routes.push_back({"/config_dump", "what the control plane configured", kSlow,
                    [&state](const HttpRequest&) { return configDump(state); }});
  routes.push_back({"/routes", "how each VIP was made, what was left out; ?vip=IP:PORT", kSlow,
                    [&state](const HttpRequest& request) { return vipRoutes(state, request); }});
  routes.push_back({"/names", "workloads by address, host names and what they resolve to", kSlow,
                    [&state](const HttpRequest&) { return names(state); }});
  routes.push_back({"/logging", "log levels; POST ?level=LEVEL or ?SCOPE:LEVEL, on the Unix socket",
                    kChanges, handleLogging});
  addVerifyRoutes(options, routes);
  return routes;
}

std::string index(const std::vector<Route>& routes) {
  std::string body = "sockmesh\n\n";
  for (const Route& route : routes) {
    body += route.path + std::string(20 - route.path.size(), ' ') + route.help + "\n";
  }
  return body;
}

bool reads(const HttpRequest& request) {
  return request.method == "GET" || request.method == "HEAD";
}

bool isKnownHost(const HttpRequest& request, const std::vector<std::string>& allowed) {
  std::string host = request.host;
  std::ranges::transform(host, host.begin(), [](unsigned char c) { return std::tolower(c); });
  // No browser omits Host.
  return host.empty() || host == "localhost" || IpAddress::parse(host) ||
         std::ranges::find(allowed, host) != allowed.end();
}

// Why this client may not send this request. No value: the client may.
std::optional<HttpResponse> refusal(const HttpRequest& request,
                                    const std::optional<std::vector<std::string>>& allowedHosts) {
  if (!request.peer && allowedHosts && !isKnownHost(request, *allowedHosts)) {
    return textResponse(
        421, "Host \"" + request.host + "\" is no IP address and not in admin.allowed_hosts\n");
  }
  if (reads(request)) return std::nullopt;
  // A web page in a browser can send a POST to loopback. Tools send no Origin.
  if (request.fromBrowserPage) return textResponse(403, "not from a web page\n");
  if (!request.peer) {
    return textResponse(403,
                        "changes are taken on the agent's Unix socket only, see --admin-socket\n");
  }
  if (*request.peer != 0 && *request.peer != geteuid()) {
    return textResponse(403, "changes are for root\n");
  }
  return std::nullopt;
}

}  // namespace

// Finds the route of a request, and refuses what this client may not do.
class AdminServer::Router {
 public:
  // Without `allowedHosts` every Host is served.
  Router(std::vector<Route> routes, std::optional<std::vector<std::string>> allowedHosts)
      : routes_(std::move(routes)), allowedHosts_(std::move(allowedHosts)) {}

  std::optional<HttpResponse> atOnce(const HttpRequest& request) const {
    const Route* route = find(request.path);
    if (route == nullptr && !(request.path == "/" && reads(request))) {
      return textResponse(404, "no " + request.path + " here; / lists what there is\n");
    }
    const bool changesOnly = route != nullptr && route->kind == Route::Kind::kSlowChange;
    if (route != nullptr && (changesOnly || !reads(request)) && !isChange(*route, request)) {
      return refuseMethod(*route);
    }
    if (auto refused = refusal(request, allowedHosts_)) return refused;
    if (route == nullptr) return textResponse(200, index(routes_));
    if (route->kind == Route::Kind::kSlow || changesOnly) return std::nullopt;
    return route->handle(request);
  }
  HttpResponse handle(const HttpRequest& request) const {
    return find(request.path)->handle(request);
  }

 private:
  const Route* find(const std::string& path) const {
    const auto found = std::ranges::find(routes_, path, &Route::path);
    return found == routes_.end() ? nullptr : &*found;
  }
  static bool isChange(const Route& route, const HttpRequest& request) {
    return (route.kind == Route::Kind::kChanges || route.kind == Route::Kind::kSlowChange) &&
           request.method == "POST";
  }
  static HttpResponse refuseMethod(const Route& route) {
    HttpResponse response = textResponse(405, "not that method\n");
    response.allow = route.kind == Route::Kind::kSlowChange ? "POST"
                     : route.kind == Route::Kind::kChanges  ? "GET, HEAD, POST"
                                                            : "GET, HEAD";
    return response;
  }

  std::vector<Route> routes_;
  std::optional<std::vector<std::string>> allowedHosts_;
};

Result<std::unique_ptr<AdminServer>> AdminServer::start(HttpListeners listeners,
                                                        const AdminState& state,
                                                        Collectables metrics,
                                                        const AdminOptions& options) {
  return serve(std::move(listeners),
               std::make_shared<Router>(adminRoutes(state, metrics, options), options.allowedHosts),
               options);
}

Result<std::unique_ptr<AdminServer>> AdminServer::startMetrics(HttpListeners listeners,
                                                               const AdminState& state,
                                                               Collectables metrics,
                                                               const AdminOptions& options) {
  return serve(std::move(listeners),
               std::make_shared<Router>(metricsRoutes(state, metrics), std::nullopt), options);
}

Result<std::unique_ptr<AdminServer>> AdminServer::serve(HttpListeners listeners,
                                                        std::shared_ptr<const Router> router,
                                                        const AdminOptions& options) {
  HttpHandlers handlers;
  handlers.atOnce = [router](const HttpRequest& request) { return router->atOnce(request); };
  handlers.handle = [router](const HttpRequest& request) { return router->handle(request); };
  handlers.onConnectionThread = options.onConnectionThread;
  handlers.onWorkerThread = options.onWorkerThread;
  auto http = HttpServer::start(std::move(listeners), std::move(handlers), options.limits);
  if (!http) return http.error();
  std::unique_ptr<AdminServer> server(new AdminServer());
  server->http_ = std::move(http).value();
  return server;
}

}  // namespace sockmesh
