// SPDX-License-Identifier: Apache-2.0
#include "http_client.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>

#include "base/unique_fd.h"

namespace sockmesh::ctl {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr std::size_t kMaxResponse = 256U << 20;

Status waitFor(int fd, short events, SteadyClock::time_point deadline) {
  const auto left =
      std::chrono::duration_cast<std::chrono::milliseconds>(deadline - SteadyClock::now());
  pollfd waiting{.fd = fd, .events = events, .revents = 0};
  const int ready = left.count() <= 0 ? 0 : poll(&waiting, 1, static_cast<int>(left.count()));
  if (ready == 0) return Error("no answer in time");
  return ready < 0 ? Status(Error::fromErrno("poll", errno)) : Status();
}

Result<UniqueFd> connected(int family, const sockaddr* address, socklen_t length,
                           SteadyClock::time_point deadline) {
  UniqueFd fd(socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return Error::fromErrno("socket", errno);
  if (connect(fd.get(), address, length) == 0) return fd;
  if (errno != EINPROGRESS) return Error(std::strerror(errno));
  if (auto ready = waitFor(fd.get(), POLLOUT, deadline); !ready) return ready.error();
  int failed = 0;
  socklen_t size = sizeof(failed);
  getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &failed, &size);
  if (failed != 0) return Error(std::strerror(failed));
  return fd;
}

Result<UniqueFd> connectTo(const SocketAddress& server, SteadyClock::time_point deadline) {
  if (server.ip.isV4()) {
    sockaddr_in four{};
    four.sin_family = AF_INET;
    four.sin_port = htons(server.port);
    std::memcpy(&four.sin_addr, server.ip.bytes().data() + 12, sizeof(four.sin_addr));
    return connected(AF_INET, reinterpret_cast<const sockaddr*>(&four), sizeof(four), deadline);
  }
  sockaddr_in6 six{};
  six.sin6_family = AF_INET6;
  six.sin6_port = htons(server.port);
  std::memcpy(&six.sin6_addr, server.ip.bytes().data(), sizeof(six.sin6_addr));
  return connected(AF_INET6, reinterpret_cast<const sockaddr*>(&six), sizeof(six), deadline);
}

Result<UniqueFd> connectTo(const std::string& socketPath, SteadyClock::time_point deadline) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socketPath.size() >= sizeof(address.sun_path)) return Error("the path is too long");
  std::memcpy(address.sun_path, socketPath.c_str(), socketPath.size() + 1);
  return connected(AF_UNIX, reinterpret_cast<const sockaddr*>(&address), sizeof(address), deadline);
}

Status sendAll(int fd, std::string_view data, SteadyClock::time_point deadline) {
  while (!data.empty()) {
    if (auto ready = waitFor(fd, POLLOUT, deadline); !ready) return ready;
    const ssize_t sent = send(fd, data.data(), data.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) return Error::fromErrno("send", errno);
    if (sent > 0) data.remove_prefix(static_cast<std::size_t>(sent));
  }
  return {};
}

Result<std::string> receiveAll(int fd, SteadyClock::time_point deadline) {
  std::string received;
  std::array<char, 65536> chunk{};
  while (received.size() < kMaxResponse) {
    if (auto ready = waitFor(fd, POLLIN, deadline); !ready) return ready.error();
    const ssize_t count = recv(fd, chunk.data(), chunk.size(), 0);
    if (count == 0) return received;
    if (count < 0 && errno != EAGAIN) return Error::fromErrno("recv", errno);
    if (count > 0) received.append(chunk.data(), static_cast<std::size_t>(count));
  }
  return Error("the answer is too long");
}

Result<HttpResponse> parse(const std::string& text) {
  constexpr std::string_view kVersion = "HTTP/1.";
  const std::size_t head = text.find("\r\n\r\n");
  if (!text.starts_with(kVersion) || head == std::string::npos || text.size() < 12) {
    return Error("not an HTTP answer");
  }
  HttpResponse response;
  const char* digits = text.data() + text.find(' ') + 1;
  if (std::from_chars(digits, digits + 3, response.status).ec != std::errc()) {
    return Error("not an HTTP answer");
  }
  response.body = text.substr(head + 4);
  return response;
}

// HTTP/1.0, so that the answer ends with the connection and is not sent in chunks.
Result<HttpResponse> exchange(Result<UniqueFd> fd, const std::string& requestLine,
                              const std::string& host, SteadyClock::time_point deadline) {
  if (!fd) return fd.error();
  const std::string request = requestLine + " HTTP/1.0\r\nHost: " + host + "\r\n\r\n";
  if (auto sent = sendAll(fd->get(), request, deadline); !sent) return sent.error();
  auto text = receiveAll(fd->get(), deadline);
  if (!text) return text.error();
  return parse(*text);
}

}  // namespace

Result<HttpResponse> httpGet(const SocketAddress& server, const std::string& target,
                             std::chrono::milliseconds timeout) {
  const auto deadline = SteadyClock::now() + timeout;
  return exchange(connectTo(server, deadline), "GET " + target, server.toString(), deadline);
}

Result<HttpResponse> httpPost(const std::string& socketPath, const std::string& target,
                              std::chrono::milliseconds timeout) {
  const auto deadline = SteadyClock::now() + timeout;
  return exchange(connectTo(socketPath, deadline), "POST " + target, "localhost", deadline);
}

}  // namespace sockmesh::ctl
