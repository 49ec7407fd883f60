// SPDX-License-Identifier: Apache-2.0
// GET requests to the Kubernetes API server, by HTTPS with a service account's token. For one
// thread, except stop().
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"

namespace sockmesh {

struct ApiServer {
  std::string address;  // HOST:PORT
  std::string tokenPath;
  std::string rootPath;  // certificates that are trusted, PEM
};

class ApiClient {
 public:
  struct Request {
    std::string path;    // from the first slash on, with its query
    std::string accept;  // the header
    Nanos silence{0};    // the answer may be silent for so long, also before it begins
  };
  struct Answer {
    int status = 0;    // of HTTP
    std::string body;  // of an answer other than 200, its beginning
  };
  // Takes the body of an answer 200, piece by piece. An error ends the request with that error.
  using OnData = std::function<Status(std::string_view)>;

  static Result<std::unique_ptr<ApiClient>> create(ApiServer server);
  ~ApiClient();
  ApiClient(const ApiClient&) = delete;
  ApiClient& operator=(const ApiClient&) = delete;

  // Blocks until the answer has ended. Token and certificates are read anew. `onOpen` is called
  // when an answer 200 begins. An error says why there is no whole answer.
  Result<Answer> get(const Request& request, const OnData& onData,
                     const std::function<void()>& onOpen = {});
  // From any thread: get() ends soon with an error, now and for ever.
  void stop();

  const std::string& address() const { return server_.address; }

 private:
  struct Handles;
  struct Exchange;
  ApiClient(ApiServer server, std::unique_ptr<Handles> handles);
  Status prepare(const Request& request, Exchange& exchange);
  Status perform(const Request& request, Exchange& exchange);

  ApiServer server_;
  std::unique_ptr<Handles> handles_;
  std::atomic<bool> stopped_{false};
};

// A text as a part of a query.
std::string queryEscaped(std::string_view text);

}  // namespace sockmesh
