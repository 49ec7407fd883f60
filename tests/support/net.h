// SPDX-License-Identifier: Apache-2.0
// Real sockets for tests: listeners that know their address, clients that say what happened.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

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

// A UDP socket that waits at most 10 seconds for a datagram.
UniqueFd udpSocket(bool v6 = false);
// The same, bound to `address`; port 0 is chosen by the kernel and put back.
Result<UniqueFd> udpServer(SocketAddress& address);
// sendto() of one datagram; the errno, or 0.
int sendErrno(int fd, const std::string& text, const SocketAddress& to, bool mapped = false);

// The same from a local address of the caller's choice (IP_PKTINFO). IPv4.
int sendFrom(int fd, const std::string& text, const IpAddress& from, const SocketAddress& to);
// sendmmsg() of all at once; how many were sent. IPv4.
int sendAll(int fd, const std::vector<std::pair<SocketAddress, std::string>>& datagrams);

struct Datagram {
  std::string text;
  SocketAddress from;  // as recvfrom() shows it; v4-mapped is IPv4
  int error = 0;       // recvfrom()'s errno; EAGAIN after 10 seconds
};
Datagram receive(int fd);
// The next entry of the error queue (MSG_ERRQUEUE), which is waited for: `text` is what was sent,
// `from` where it was sent to.
Datagram fromErrorQueue(int fd);

SocketAddress peerOf(int fd);   // getpeername(); v4-mapped is IPv4
SocketAddress localOf(int fd);  // getsockname()

// Where the connection really went, which getpeername() hides: the local address of its other end.
SocketAddress acceptedAt(const UniqueFd& listener);

}  // namespace sockmesh::test
