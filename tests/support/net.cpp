// SPDX-License-Identifier: Apache-2.0
#include "support/net.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
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

UniqueFd udpSocket(bool v6) {
  UniqueFd fd(socket(v6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const timeval patience{.tv_sec = 10, .tv_usec = 0};
  setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  return fd;
}

Result<UniqueFd> udpServer(SocketAddress& address) {
  UniqueFd fd = udpSocket(!address.ip.isV4());
  if (const int error = bindErrno(fd.get(), address); error != 0) {
    return Error::fromErrno(address.toString(), error);
  }
  address = localOf(fd.get());
  return fd;
}

int sendErrno(int fd, const std::string& text, const SocketAddress& to, bool mapped) {
  RawAddress name = raw(to, mapped);
  const ssize_t sent = sendto(fd, text.data(), text.size(), 0, name.get(), name.length);
  return sent == static_cast<ssize_t>(text.size()) ? 0 : errno;
}

int sendFrom(int fd, const std::string& text, const IpAddress& from, const SocketAddress& to) {
  RawAddress name = raw(to, false);
  iovec part{.iov_base = const_cast<char*>(text.data()), .iov_len = text.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(in_pktinfo))> control{};
  msghdr message{};
  message.msg_name = name.get();
  message.msg_namelen = name.length;
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = IPPROTO_IP;
  header->cmsg_type = IP_PKTINFO;
  header->cmsg_len = CMSG_LEN(sizeof(in_pktinfo));
  in_pktinfo info{};
  std::memcpy(&info.ipi_spec_dst, from.bytes().data() + 12, 4);
  std::memcpy(CMSG_DATA(header), &info, sizeof(info));
  return sendmsg(fd, &message, 0) < 0 ? errno : 0;
}

int sendAll(int fd, const std::vector<std::pair<SocketAddress, std::string>>& datagrams) {
  std::vector<RawAddress> names;
  std::vector<iovec> parts;
  for (const auto& [to, text] : datagrams) {
    names.push_back(raw(to, false));
    parts.push_back({.iov_base = const_cast<char*>(text.data()), .iov_len = text.size()});
  }
  std::vector<mmsghdr> messages(datagrams.size());
  for (std::size_t i = 0; i < messages.size(); ++i) {
    messages[i].msg_hdr.msg_name = names[i].get();
    messages[i].msg_hdr.msg_namelen = names[i].length;
    messages[i].msg_hdr.msg_iov = &parts[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  return sendmmsg(fd, messages.data(), static_cast<unsigned>(messages.size()), 0);
}

Datagram fromErrorQueue(int fd) {
  pollfd waits{.fd = fd, .events = 0, .revents = 0};  // POLLERR comes unasked
  if (poll(&waits, 1, 10'000) != 1) return {.text = "", .from = {}, .error = EAGAIN};
  RawAddress name;
  std::array<char, 2048> text{};
  std::array<char, 512> control{};
  iovec part{.iov_base = text.data(), .iov_len = text.size()};
  msghdr message{};
  message.msg_name = name.get();
  message.msg_namelen = sizeof(name.storage);
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t length = recvmsg(fd, &message, MSG_ERRQUEUE);
  if (length < 0) return {.text = "", .from = {}, .error = errno};
  return {.text = std::string(text.data(), static_cast<std::size_t>(length)),
          .from = cooked(name),
          .error = 0};
}

Datagram receive(int fd) {
  RawAddress name;
  name.length = sizeof(name.storage);
  std::array<char, 2048> text{};
  const ssize_t length = recvfrom(fd, text.data(), text.size(), 0, name.get(), &name.length);
  if (length < 0) return {.text = "", .from = {}, .error = errno};
  return {.text = std::string(text.data(), static_cast<std::size_t>(length)),
          .from = cooked(name),
          .error = 0};
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
