// SPDX-License-Identifier: Apache-2.0
#include "silent_connect.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <unordered_map>

#include "base/unique_fd.h"
#include "inet_diag.h"

namespace sockmesh::ctl {
namespace {

// Sockets that are open at a time.
constexpr std::uint32_t kBatch = 128;

#ifndef TCP_FASTOPEN_NO_COOKIE
constexpr int TCP_FASTOPEN_NO_COOKIE = 34;
#endif

UniqueFd silentSocket(int family) {
  UniqueFd fd(socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP));
  const int one = 1;
  for (const int option : {TCP_FASTOPEN_CONNECT, TCP_FASTOPEN_NO_COOKIE}) {
    if (fd.valid() && setsockopt(fd.get(), IPPROTO_TCP, option, &one, sizeof(one)) != 0) return {};
  }
  return fd;
}

int connectTo(int fd, const SocketAddress& address) {
  const auto& bytes = address.ip.bytes();
  if (address.ip.isV4()) {
    sockaddr_in four{};
    four.sin_family = AF_INET;
    four.sin_port = htons(address.port);
    std::memcpy(&four.sin_addr, bytes.data() + 12, sizeof(four.sin_addr));
    return connect(fd, reinterpret_cast<const sockaddr*>(&four), sizeof(four)) == 0 ? 0 : errno;
  }
  sockaddr_in6 six{};
  six.sin6_family = AF_INET6;
  six.sin6_port = htons(address.port);
  std::memcpy(&six.sin6_addr, bytes.data(), sizeof(six.sin6_addr));
  return connect(fd, reinterpret_cast<const sockaddr*>(&six), sizeof(six)) == 0 ? 0 : errno;
}

std::uint64_t cookieOfSocket(int fd) {
  std::uint64_t cookie = 0;
  socklen_t length = sizeof(cookie);
  getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &length);
  return cookie;
}

SocketAddress peerOf(const inet_diag_msg& message) {
  std::array<std::uint8_t, 16> bytes{};
  std::memcpy(bytes.data(), message.id.idiag_dst, bytes.size());
  const std::uint16_t port = ntohs(message.id.idiag_dport);
  if (message.idiag_family != AF_INET) return {IpAddress::v6(bytes), port};
  return {IpAddress::v4({bytes[0], bytes[1], bytes[2], bytes[3]}), port};
}

// getpeername() would show the VIP.
std::unordered_map<std::uint64_t, SocketAddress> peersByCookie() {
  std::unordered_map<std::uint64_t, SocketAddress> peers;
  eachTcpSocket(1U << TCP_SYN_SENT,
                [&](const inet_diag_msg& message) { peers[cookieOf(message)] = peerOf(message); });
  return peers;
}

Status connectBatch(const SocketAddress& address, std::uint32_t count,
                    std::vector<SilentConnect>& out) {
  std::vector<UniqueFd> sockets;
  std::vector<int> errors;
  for (std::uint32_t i = 0; i < count; ++i) {
    UniqueFd fd = silentSocket(address.ip.isV4() ? AF_INET : AF_INET6);
    if (!fd.valid()) return Error::fromErrno("connect() without a packet is not to be had", errno);
    const int failed = connectTo(fd.get(), address);
    if (failed == EINPROGRESS) {
      return Error("the kernel does not defer the first packet of a connection");
    }
    errors.push_back(failed);
    sockets.push_back(std::move(fd));
  }
  const auto peers = peersByCookie();
  for (std::size_t i = 0; i < sockets.size(); ++i) {
    SilentConnect one{.leadsTo = std::nullopt, .errnum = errors[i]};
    const auto peer = peers.find(cookieOfSocket(sockets[i].get()));
    if (errors[i] == 0 && peer != peers.end()) one.leadsTo = peer->second;
    out.push_back(one);
  }
  return {};
}

}  // namespace

Result<std::vector<SilentConnect>> connectSilently(const SocketAddress& address,
                                                   std::uint32_t count) {
  std::vector<SilentConnect> all;
  all.reserve(count);
  for (std::uint32_t done = 0; done < count; done += kBatch) {
    const auto batch = connectBatch(address, std::min(kBatch, count - done), all);
    if (!batch) return batch.error();
  }
  return all;
}

}  // namespace sockmesh::ctl
