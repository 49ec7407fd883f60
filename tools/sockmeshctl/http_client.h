// SPDX-License-Identifier: Apache-2.0
// One HTTP request to the agent's admin server.
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

// Blocks for at most `timeout` in total. `target` begins with a slash.
Result<HttpResponse> httpGet(const SocketAddress& server, const std::string& target,
                             std::chrono::milliseconds timeout);
// The same over the Unix socket at `socketPath`, for what changes something.
Result<HttpResponse> httpPost(const std::string& socketPath, const std::string& target,
                              std::chrono::milliseconds timeout);

}  // namespace sockmesh::ctl
