// SPDX-License-Identifier: Apache-2.0
#include "support/net.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace sockmesh::test {
namespace {

struct RawAddress {
  sockaddr_storage storage{};
  socklen_t length = 0;
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
};

RawAddress raw(const SocketAddress& address, bool mapped) {
  RawAddress out;
  if (address.ip.isV4() && !mapped) {
    auto* four = reinterpret_cast<sockaddr_in*>(&out.storage);
    four->sin_family = AF_INET;
    four->sin_port = htons(address.port);
    std::memcpy(&four->sin_addr, address.ip.bytes().data() + 12, 4);
    out.length = sizeof(sockaddr_in);
  } else {
    auto* six = reinterpret_cast<sockaddr_in6*>(&out.storage);
    six->sin6_family = AF_INET6;
    six->sin6_port = htons(address.port);
    std::memcpy(&six->sin6_addr, address.ip.bytes().data(), 16);
    out.length = sizeof(sockaddr_in6);
  }
  return out;
}

SocketAddress cooked(const RawAddress& address) {
  SocketAddress out;
  if (address.storage.ss_family == AF_INET) {
    const auto* four = reinterpret_cast<const sockaddr_in*>(&address.storage);
    std::array<std::uint8_t, 4> bytes{};
    std::memcpy(bytes.data(), &four->sin_addr, 4);
    out.ip = IpAddress::v4(bytes);
    out.port = ntohs(four->sin_port);
  } else {
    const auto* six = reinterpret_cast<const sockaddr_in6*>(&address.storage);
    std::array<std::uint8_t, 16> bytes{};
    std::memcpy(bytes.data(), &six->sin6_addr, 16);
    out.ip = IpAddress::v6(bytes);
    out.port = ntohs(six->sin6_port);
  }
  return out;
}

}  // namespace

UniqueFd tcpSocket(bool v6, bool nonblocking) {
  return UniqueFd(socket(v6 ? AF_INET6 : AF_INET,
                         SOCK_STREAM | SOCK_CLOEXEC | (nonblocking ? SOCK_NONBLOCK : 0), 0));
}

Result<UniqueFd> listenOn(SocketAddress& address, int backlog) {
  UniqueFd fd = tcpSocket(!address.ip.isV4());
  const int one = 1;
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
  RawAddress name = raw(address, false);
  if (bind(fd.get(), name.get(), name.length) != 0 || listen(fd.get(), backlog) != 0) {
    return Error::fromErrno(address.toString(), errno);
  }
  address = localOf(fd.get());
  return fd;
}

UniqueFd acceptOn(const UniqueFd& listener) {
  return UniqueFd(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
}

int connectErrno(int fd, const SocketAddress& address, bool mapped) {
  RawAddress name = raw(address, mapped);
  return connect(fd, name.get(), name.length) == 0 ? 0 : errno;
}

int bindErrno(int fd, const SocketAddress& address, bool mapped) {
  RawAddress name = raw(address, mapped);
  return bind(fd, name.get(), name.length) == 0 ? 0 : errno;
}

Result<UniqueFd> connectTo(const SocketAddress& address, bool mapped) {
  UniqueFd fd = tcpSocket(mapped || !address.ip.isV4());
  if (const int error = connectErrno(fd.get(), address, mapped); error != 0) {
    return Error::fromErrno("connect " + address.toString(), error);
  }
  return fd;
}

SocketAddress peerOf(int fd) {
  RawAddress name;
  name.length = sizeof(name.storage);
  getpeername(fd, name.get(), &name.length);
  return cooked(name);
}

SocketAddress localOf(int fd) {
  RawAddress name;
  name.length = sizeof(name.storage);
  getsockname(fd, name.get(), &name.length);
  return cooked(name);
}

SocketAddress acceptedAt(const UniqueFd& listener) {
  const UniqueFd accepted = acceptOn(listener);
  return localOf(accepted.get());
}

}  // namespace sockmesh::test
