// SPDX-License-Identifier: Apache-2.0
#include "probe.h"

#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>
#include <numeric>
#include <optional>
#include <sstream>

#include "base/unique_fd.h"

namespace sockmesh::ctl {
namespace {

struct Storage {
  sockaddr_storage bytes{};
  socklen_t length = sizeof(bytes);
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&bytes); }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&bytes); }
};

SocketAddress addressOf(const Storage& storage) {
  if (storage.bytes.ss_family == AF_INET) {
    sockaddr_in four{};
    std::memcpy(&four, &storage.bytes, sizeof(four));
    std::array<std::uint8_t, 4> bytes{};
    std::memcpy(bytes.data(), &four.sin_addr, bytes.size());
    return {IpAddress::v4(bytes), ntohs(four.sin_port)};
  }
  sockaddr_in6 six{};
  std::memcpy(&six, &storage.bytes, sizeof(six));
  std::array<std::uint8_t, 16> bytes{};
  std::memcpy(bytes.data(), &six.sin6_addr, bytes.size());
  return {IpAddress::v6(bytes), ntohs(six.sin6_port)};
}

Result<Storage> resolve(const HostPort& target) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const std::string port = std::to_string(target.port);
  const int failed = getaddrinfo(target.host.c_str(), port.c_str(), &hints, &found);
  if (failed != 0) return Error(target.host + ": " + gai_strerror(failed));
  Storage storage;
  storage.length = found->ai_addrlen;
  std::memcpy(&storage.bytes, found->ai_addr, found->ai_addrlen);
  freeaddrinfo(found);
  return storage;
}

// "0100007F:1F90" or 32 digits and a port: the address is words in the machine's byte order.
std::optional<SocketAddress> parseHex(const std::string& text) {
  const std::size_t colon = text.find(':');
  if (colon != 8 && colon != 32) return std::nullopt;
  std::array<std::uint8_t, 16> bytes{};
  for (std::size_t at = 0; at < colon; at += 8) {
    std::uint32_t word = 0;
    if (std::from_chars(&text[at], &text[at] + 8, word, 16).ec != std::errc()) return std::nullopt;
    std::memcpy(&bytes.at(at / 2), &word, sizeof(word));
  }
  std::uint16_t port = 0;
  std::from_chars(&text[colon + 1], text.data() + text.size(), port, 16);
  if (colon == 32) return SocketAddress{IpAddress::v6(bytes), port};
  return SocketAddress{IpAddress::v4({bytes[0], bytes[1], bytes[2], bytes[3]}), port};
}

// Where TCP itself is connected to. getpeername() shows the VIP instead.
std::optional<SocketAddress> endpointOf(int fd) {
  struct stat status {};
  if (fstat(fd, &status) != 0) return std::nullopt;
  for (const char* table : {"/proc/thread-self/net/tcp", "/proc/thread-self/net/tcp6"}) {
    std::ifstream file(table);
    for (std::string line; std::getline(file, line);) {
      std::istringstream fields(line);
      std::string slot, local, remote, state, queues, timer, retransmits, uid, timeout;
      std::uint64_t inode = 0;
      fields >> slot >> local >> remote >> state >> queues >> timer >> retransmits >> uid >>
          timeout >> inode;
      if (inode == status.st_ino) return parseHex(remote);
    }
  }
  return std::nullopt;
}

// "" if the connection was established.
std::string attempt(int fd, const Storage& target, std::chrono::milliseconds timeout) {
  if (connect(fd, target.get(), target.length) == 0) return "";
  if (errno != EINPROGRESS) return std::strerror(errno);
  pollfd waiting{.fd = fd, .events = POLLOUT, .revents = 0};
  if (poll(&waiting, 1, static_cast<int>(timeout.count())) == 0) return "no answer in time";
  int failed = 0;
  socklen_t length = sizeof(failed);
  getsockopt(fd, SOL_SOCKET, SO_ERROR, &failed, &length);
  return failed == 0 ? "" : std::strerror(failed);
}

int sum(const auto& counts) {
  return std::accumulate(counts.begin(), counts.end(), 0,
                         [](int all, const auto& one) { return all + one.second; });
}

}  // namespace

int ProbeReport::established() const {
  return sum(endpoints);
}

int ProbeReport::failed() const {
  return sum(failures);
}

int ProbeReport::rewritten() const {
  const auto unchanged = endpoints.find(address);
  return established() - (unchanged == endpoints.end() ? 0 : unchanged->second);
}

Result<ProbeReport> probe(const HostPort& target, int count, std::chrono::milliseconds timeout) {
  const auto storage = resolve(target);
  if (!storage) return storage.error();
  ProbeReport report;
  report.address = addressOf(*storage);
  for (int i = 0; i < count; ++i) {
    const UniqueFd fd(
        socket(storage->bytes.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd.valid()) return Error::fromErrno("socket", errno);
    if (const std::string problem = attempt(fd.get(), *storage, timeout); !problem.empty()) {
      ++report.failures[problem];
      continue;
    }
    Storage shown;
    if (getpeername(fd.get(), shown.get(), &shown.length) == 0) {
      ++report.peersShown[addressOf(shown)];
    }
    ++report.endpoints[endpointOf(fd.get()).value_or(report.address)];
  }
  return report;
}

}  // namespace sockmesh::ctl
