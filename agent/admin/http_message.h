// SPDX-License-Identifier: Apache-2.0
// HTTP/1.1 messages as values: a request's head is parsed, a response is written out. Bodies of
// requests have no meaning here and are not kept.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sockmesh {

struct HttpRequest {
  std::string method;  // "GET"
  std::string path;    // decoded, without the query
  // Decoded; a parameter without '=' has an empty value.
  std::vector<std::pair<std::string, std::string>> parameters;
  std::string host;              // of the Host header, without the port and brackets; "" if absent
  bool fromBrowserPage = false;  // has an Origin header
  // The user at the other end of a Unix socket, in this process's user namespace. Absent for TCP.
  std::optional<uid_t> peer = {};
};

struct HttpResponse {
  int status = 200;
  std::string contentType = "text/plain; charset=utf-8";
  std::string body;
  std::string allow = {};  // methods, for 405
};

// A plain answer. `body` ends with a newline.
HttpResponse textResponse(int status, std::string body);

// The position behind the blank line that ends a head, or npos while it has not come.
std::size_t headEnd(std::string_view received);

// `head` is a request line and headers, with the blank line. A head that is no HTTP/1.x request
// gives the answer to send: 400 or 505.
struct ParsedRequest {
  HttpRequest request;
  std::optional<HttpResponse> refusal;
};
ParsedRequest parseRequest(std::string_view head);

// The bytes of the answer. The connection ends with it.
std::string serialize(const HttpResponse& response, bool withBody);

}  // namespace sockmesh
