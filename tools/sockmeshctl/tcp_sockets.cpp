// SPDX-License-Identifier: Apache-2.0
#include "tcp_sockets.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <array>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <thread>

#include "base/unique_fd.h"
#include "inet_diag.h"

namespace sockmesh::ctl {
namespace {

namespace fs = std::filesystem;

constexpr std::uint32_t kListening = 1U << 10;  // TCP_LISTEN

// By inode: the path of a process's namespace, or of a mount if no process is inside.
using Namespaces = std::map<std::uint64_t, std::string>;

void addNamespace(Namespaces& namespaces, const std::string& path) {
  struct stat status {};
  if (stat(path.c_str(), &status) == 0) namespaces.emplace(status.st_ino, path);
}

Namespaces findNamespaces() {
  Namespaces namespaces;
  std::error_code error;
  fs::directory_iterator process("/proc", error);
  while (!error && process != fs::directory_iterator()) {
    const std::string name = process->path().filename();
    if (std::isdigit(static_cast<unsigned char>(name.front())) != 0) {
      addNamespace(namespaces, process->path() / "ns/net");
    }
    process.increment(error);
  }
  std::ifstream mounts("/proc/self/mounts");
  for (std::string line; std::getline(mounts, line);) {
    std::string source, point, type;
    std::istringstream(line) >> source >> point >> type;
    if (type == "nsfs") addNamespace(namespaces, point);
  }
  return namespaces;
}

// As `ss` prints it: the v4-mapped address of an IPv6 socket is shown as v4-mapped.
std::string localOf(const inet_diag_msg& message) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  inet_ntop(message.idiag_family, message.id.idiag_src, text.data(), text.size());
  const std::string port = ":" + std::to_string(ntohs(message.id.idiag_sport));
  const std::string address(text.data());
  return (message.idiag_family == AF_INET6 ? "[" + address + "]" : address) + port;
}

void readSockets(const std::string& netns, const std::string& path, TcpSockets& out) {
  eachTcpSocket(~kListening, [&](const inet_diag_msg& message) {
    out[cookieOf(message)] = {localOf(message), message.idiag_inode, netns, path};
  });
}

void readAll(TcpSockets& out) {
  for (const auto& [inode, path] : findNamespaces()) {
    const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd.valid() || setns(fd.get(), CLONE_NEWNET) != 0) continue;
    const std::string netns = "net:[" + std::to_string(inode) + "]";
    readSockets(netns, path, out);
  }
}

}  // namespace

TcpSockets readTcpSockets() {
  TcpSockets sockets;
  std::thread(readAll, std::ref(sockets)).join();
  return sockets;
}

}  // namespace sockmesh::ctl
