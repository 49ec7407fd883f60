// SPDX-License-Identifier: Apache-2.0
#include "admin/http_listeners.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <utility>

namespace sockmesh {
namespace {

constexpr int kBacklog = 128;
constexpr int kKind = SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK;

struct Name {
  sockaddr_storage storage{};
  socklen_t length = 0;
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
};

Name nameOf(const SocketAddress& address) {
  Name name;
  if (address.ip.isV4()) {
    auto* four = reinterpret_cast<sockaddr_in*>(&name.storage);
    four->sin_family = AF_INET;
    four->sin_port = htons(address.port);
    std::memcpy(&four->sin_addr, address.ip.bytes().data() + 12, sizeof(four->sin_addr));
    name.length = sizeof(sockaddr_in);
  } else {
    auto* six = reinterpret_cast<sockaddr_in6*>(&name.storage);
    six->sin6_family = AF_INET6;
    six->sin6_port = htons(address.port);
    std::memcpy(&six->sin6_addr, address.ip.bytes().data(), sizeof(six->sin6_addr));
    name.length = sizeof(sockaddr_in6);
  }
  return name;
}

std::uint16_t portOf(int fd) {
  Name name;
  name.length = sizeof(name.storage);
  if (getsockname(fd, name.get(), &name.length) != 0) return 0;
  return ntohs(name.storage.ss_family == AF_INET
                   ? reinterpret_cast<sockaddr_in*>(&name.storage)->sin_port
                   : reinterpret_cast<sockaddr_in6*>(&name.storage)->sin6_port);
}

Result<UniqueFd> listenTcp(const SocketAddress& address) {
  Name name = nameOf(address);
  UniqueFd fd(socket(name.storage.ss_family, kKind, 0));
  const int one = 1;
  if (!fd.valid()) return Error::fromErrno("socket", errno);
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
  if (bind(fd.get(), name.get(), name.length) != 0 || listen(fd.get(), kBacklog) != 0) {
    const std::string hint = errno == EADDRINUSE ? "; is the port taken?" : "";
    return Error("cannot listen there" + hint + " (" + std::strerror(errno) + ")");
  }
  return fd;
}

Result<Name> unixName(const std::string& path) {
  Name name;
  auto* address = reinterpret_cast<sockaddr_un*>(&name.storage);
  if (path.size() >= sizeof(address->sun_path)) {
    return Error("the path is longer than " + std::to_string(sizeof(address->sun_path) - 1) +
                 " bytes");
  }
  address->sun_family = AF_UNIX;
  std::memcpy(address->sun_path, path.c_str(), path.size() + 1);
  name.length = sizeof(sockaddr_un);
  return name;
}

bool isServed(const std::string& path) {
  auto name = unixName(path);
  const UniqueFd fd(socket(AF_UNIX, kKind, 0));
  // EAGAIN: its queue is full, so somebody listens.
  return name && (connect(fd.get(), name->get(), name->length) == 0 || errno == EAGAIN);
}

// Bound under another name first and then renamed, so that the socket never has another mode and
// the file of a dead process is replaced in one step.
Result<UniqueFd> listenUnix(const std::string& path) {
  std::error_code failed;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), failed);
  if (failed) return Error("making its folder: " + failed.message());
  if (isServed(path)) return Error("another process serves this socket: end that process first");
  const std::string fresh = path + "." + std::to_string(getpid());
  auto name = unixName(fresh);
  if (!name) return name.error();
  UniqueFd fd(socket(AF_UNIX, kKind, 0));
  if (!fd.valid()) return Error::fromErrno("socket", errno);
  unlink(fresh.c_str());
  if (bind(fd.get(), name->get(), name->length) != 0) return Error::fromErrno("bind", errno);
  if (chmod(fresh.c_str(), 0600) != 0 || listen(fd.get(), kBacklog) != 0 ||
      std::rename(fresh.c_str(), path.c_str()) != 0) {
    const int why = errno;
    unlink(fresh.c_str());
    return Error::fromErrno("making the socket", why);
  }
  return fd;
}

}  // namespace

HttpListeners::HttpListeners(HttpListeners&& other) noexcept
    : address_(other.address_),
      socketPath_(std::exchange(other.socketPath_, "")),
      tcp_(std::move(other.tcp_)),
      unix_(std::move(other.unix_)) {}

HttpListeners::~HttpListeners() {
  if (unix_.valid()) unlink(socketPath_.c_str());
}

Result<HttpListeners> HttpListeners::open(const SocketAddress& address) {
  HttpListeners listeners;
  auto tcp = listenTcp(address);
  if (!tcp) return tcp.error().in("admin address " + address.toString());
  listeners.tcp_ = std::move(tcp).value();
  listeners.address_ = {address.ip, portOf(listeners.tcp_.get())};
  return listeners;
}

Status HttpListeners::addSocket(const std::string& path) {
  auto local = listenUnix(path);
  if (!local) return local.error().in("admin socket " + path);
  unix_ = std::move(local).value();
  socketPath_ = path;
  return {};
}

}  // namespace sockmesh
