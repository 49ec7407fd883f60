// SPDX-License-Identifier: Apache-2.0
// A blocking HTTP/1.1 client for tests.
#pragma once

#include <string>

#include "model/address.h"

namespace sockmesh::test {

struct HttpAnswer {
  int status = 0;
  std::string head;  // status line and headers
  std::string body;
};

// `headers` are whole lines, each with its CR LF.
HttpAnswer request(const SocketAddress& server, const std::string& method,
                   const std::string& target, const std::string& headers = "");

}  // namespace sockmesh::test
