// SPDX-License-Identifier: Apache-2.0
// One HTTP/1.1 GET to the agent's admin server.
#pragma once

#include <chrono>
#include <string>

#include "base/result.h"
#include "model/address.h"

namespace sockmesh::ctl {

struct HttpResponse {
  int status = 0;
  std::string body;
};

// Blocks for at most `timeout` in total. `path` begins with a slash.
Result<HttpResponse> httpGet(const SocketAddress& server, const std::string& path,
                             std::chrono::milliseconds timeout);

}  // namespace sockmesh::ctl
