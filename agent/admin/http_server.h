// SPDX-License-Identifier: Apache-2.0
// A small HTTP/1.1 server on threads of its own: one handler, whole bodies.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "model/address.h"

namespace sockmesh {

struct HttpRequest {
  std::string method;  // "GET"
  std::string path;    // decoded, without the query
  // Decoded; a parameter without '=' has an empty value.
  std::vector<std::pair<std::string, std::string>> parameters;
  bool fromBrowserPage = false;  // has an Origin header
};

struct HttpResponse {
  int status = 200;
  std::string contentType = "text/plain; charset=utf-8";
  std::string body;
  std::string allow;  // methods, for 405
};

class HttpServer {
 public:
  // Called from several threads at once; must not throw.
  using Handler = std::function<HttpResponse(const HttpRequest&)>;

  // Listens on `address`; port 0 takes a free one. A port that is in use, or that the process may
  // not use, is an error.
  static Result<std::unique_ptr<HttpServer>> start(const SocketAddress& address, Handler handler);
  // Waits for requests that are being answered.
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  const SocketAddress& address() const { return address_; }

 private:
  struct Context;
  HttpServer() = default;

  SocketAddress address_;
  std::unique_ptr<Context> context_;
};

}  // namespace sockmesh
