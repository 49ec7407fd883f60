// SPDX-License-Identifier: Apache-2.0
// Where the admin server listens: a TCP address for everybody who reaches it, and a Unix socket for
// root and the agent's own user.
#pragma once

#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "model/address.h"

namespace sockmesh {

class HttpListeners {
 public:
  // Listens on `address`; port 0 takes a free port. An address that another process uses is an
  // Error.
  static Result<HttpListeners> open(const SocketAddress& address);
  // Listens also at `path`, with mode 0600. The folder of the socket is made if it is missing. A
  // socket that a dead process left is replaced. A socket that another process serves is an Error,
  // and changes nothing.
  Status addSocket(const std::string& path);
  // Removes the socket's file.
  ~HttpListeners();
  HttpListeners(HttpListeners&& other) noexcept;
  HttpListeners& operator=(HttpListeners&&) = delete;

  // Where the server listens: the port is never 0.
  const SocketAddress& address() const { return address_; }
  const std::string& socketPath() const { return socketPath_; }
  int tcp() const { return tcp_.get(); }
  int unixSocket() const { return unix_.get(); }  // -1: none

 private:
  HttpListeners() = default;

  SocketAddress address_;
  std::string socketPath_;
  UniqueFd tcp_;
  UniqueFd unix_;
};

}  // namespace sockmesh
