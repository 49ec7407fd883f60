// SPDX-License-Identifier: Apache-2.0
// Blocking HTTP/1.1 clients for tests.
#pragma once

#include <string>

#include "base/unique_fd.h"
#include "model/address.h"

namespace sockmesh::test {

struct HttpAnswer {
  int status = 0;
  std::string head;  // status line and headers
  std::string body;
};

UniqueFd connectTo(const SocketAddress& server);
UniqueFd connectTo(const std::string& socketPath);  // a Unix socket

bool sendText(const UniqueFd& connection, const std::string& text);
// Reads until the server closes.
HttpAnswer readAnswer(const UniqueFd& connection);

// `headers` are whole lines, each with its CR LF.
HttpAnswer request(const UniqueFd& connection, const std::string& method, const std::string& target,
                   const std::string& headers = "Host: localhost\r\n");

}  // namespace sockmesh::test
