// SPDX-License-Identifier: Apache-2.0
#include "admin/http_server.h"

#include <arpa/inet.h>
#include <civetweb.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <future>
#include <string_view>

#include "base/log.h"
#include "base/unique_fd.h"

namespace sockmesh {
namespace {

// Scrapes, probes and a person: each request holds a thread while it is answered.
constexpr const char* kThreads = "3";
constexpr const char* kRequestTimeoutMillis = "10000";

std::string decode(std::string_view text, bool form) {
  std::string out(text.size() + 1, '\0');
  const int length = mg_url_decode(text.data(), static_cast<int>(text.size()), out.data(),
                                   static_cast<int>(out.size()), form ? 1 : 0);
  out.resize(length > 0 ? static_cast<std::size_t>(length) : 0);
  return out;
}

std::vector<std::pair<std::string, std::string>> parseQuery(std::string_view query) {
  std::vector<std::pair<std::string, std::string>> parameters;
  while (!query.empty()) {
    const std::string_view part = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(query.size(), part.size() + 1));
    if (part.empty()) continue;
    const std::size_t equals = part.find('=');
    parameters.emplace_back(
        decode(part.substr(0, equals), true),
        equals == std::string_view::npos ? "" : decode(part.substr(equals + 1), true));
  }
  return parameters;
}

HttpRequest readRequest(const mg_connection* connection) {
  const mg_request_info* info = mg_get_request_info(connection);
  HttpRequest request;
  request.method = info->request_method;
  request.path = info->local_uri == nullptr ? "/" : info->local_uri;
  if (info->query_string != nullptr) request.parameters = parseQuery(info->query_string);
  request.fromBrowserPage = mg_get_header(connection, "Origin") != nullptr;
  return request;
}

void writeResponse(mg_connection* connection, const HttpResponse& response, bool withBody) {
  std::string head = "HTTP/1.1 " + std::to_string(response.status) + " " +
                     mg_get_response_code_text(connection, response.status) +
                     "\r\nContent-Type: " + response.contentType +
                     "\r\nContent-Length: " + std::to_string(response.body.size()) +
                     "\r\nCache-Control: no-store\r\nConnection: close\r\n";
  if (!response.allow.empty()) head += "Allow: " + response.allow + "\r\n";
  head += "\r\n";
  mg_write(connection, head.data(), head.size());
  if (withBody) mg_write(connection, response.body.data(), response.body.size());
}

// Connects and hangs up.
void wakeServer(const SocketAddress& to) {
  const int family = to.ip.isV4() ? AF_INET : AF_INET6;
  const UniqueFd fd(socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_storage storage{};
  storage.ss_family = static_cast<sa_family_t>(family);
  if (to.ip.isV4()) {
    auto* four = reinterpret_cast<sockaddr_in*>(&storage);
    four->sin_port = htons(to.port);
    std::memcpy(&four->sin_addr, to.ip.bytes().data() + 12, sizeof(four->sin_addr));
  } else {
    auto* six = reinterpret_cast<sockaddr_in6*>(&storage);
    six->sin6_port = htons(to.port);
    std::memcpy(&six->sin6_addr, to.ip.bytes().data(), sizeof(six->sin6_addr));
  }
  // A failed connection does not matter, because the waiting thread connects again.
  [[maybe_unused]] const int result =
      connect(fd.get(), reinterpret_cast<const sockaddr*>(&storage), sizeof(storage));
}

}  // namespace

struct HttpServer::Context {
  Handler handler;
  mg_context* server = nullptr;

  SocketAddress address;

  ~Context() {
    if (server == nullptr) return;
    // civetweb's accepting thread sleeps for up to 2 s before it looks whether it is to stop; a
    // connection wakes it.
    const auto stopped = std::async(std::launch::async, [this] { mg_stop(server); });
    while (stopped.wait_for(std::chrono::milliseconds(2)) != std::future_status::ready) {
      wakeServer(address);
    }
  }

  static int onRequest(mg_connection* connection) {
    const auto* self = static_cast<const Context*>(mg_get_user_data(mg_get_context(connection)));
    const HttpRequest request = readRequest(connection);
    const HttpResponse response = self->handler(request);
    writeResponse(connection, response, request.method != "HEAD");
    return response.status;  // anything but 0: answered
  }

  static int onLog(const mg_connection*, const char* message) {
    logger("admin")->debug("civetweb: {}", message);
    return 1;  // anything but 0: not to its own stderr too
  }
};

Result<std::unique_ptr<HttpServer>> HttpServer::start(const SocketAddress& address,
                                                      Handler handler) {
  auto context = std::make_unique<Context>();
  context->handler = std::move(handler);
  mg_callbacks callbacks{};
  callbacks.begin_request = &Context::onRequest;
  callbacks.log_message = &Context::onLog;
  const std::string port = address.toString();
  std::array<const char*, 9> options = {
      "listening_ports",     port.c_str(),        "num_threads", kThreads, "request_timeout_ms",
      kRequestTimeoutMillis, "enable_keep_alive", "no",          nullptr};
  std::array<char, 256> problem{};
  mg_init_data init{&callbacks, context.get(), options.data()};
  mg_error_data error{nullptr, problem.data(), problem.size()};
  context->server = mg_start2(&init, &error);
  if (context->server == nullptr) {
    return Error("admin address " + port + ": cannot listen there; is the port taken? (" +
                 std::string(problem.data()) + ")");
  }
  mg_server_port bound{};
  if (mg_get_server_ports(context->server, 1, &bound) != 1) {
    return Error("admin address " + port + ": not listening");
  }
  std::unique_ptr<HttpServer> server(new HttpServer());
  server->address_ = {address.ip, static_cast<std::uint16_t>(bound.port)};
  context->address = server->address_;
  server->context_ = std::move(context);
  return server;
}

HttpServer::~HttpServer() = default;

}  // namespace sockmesh
