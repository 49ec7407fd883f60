// SPDX-License-Identifier: Apache-2.0
// Real sockets for tests: listeners that know their address, clients that say what happened.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "model/address.h"
#include "support/address.h"

namespace sockmesh::test {

// A TCP listener on `address`; port 0 is chosen by the kernel and put back.
Result<UniqueFd> listenOn(SocketAddress& address, int backlog = 1024);
// The next connection; blocks.
UniqueFd acceptOn(const UniqueFd& listener);

// A blocking connect() of a fresh socket. The error's errnum() is connect()'s errno. With `mapped`
// an IPv6 socket is used for an IPv4 address.
Result<UniqueFd> connectTo(const SocketAddress& address, bool mapped = false);
// connect() of this socket; the errno, or 0.
int connectErrno(int fd, const SocketAddress& address, bool mapped = false);
// bind() of this socket; the errno, or 0.
int bindErrno(int fd, const SocketAddress& address, bool mapped = false);
UniqueFd tcpSocket(bool v6 = false, bool nonblocking = false);

SocketAddress peerOf(int fd);   // getpeername(); v4-mapped is IPv4
SocketAddress localOf(int fd);  // getsockname()

// Where the connection really went, which getpeername() hides: the local address of its other end.
SocketAddress acceptedAt(const UniqueFd& listener);

}  // namespace sockmesh::test
