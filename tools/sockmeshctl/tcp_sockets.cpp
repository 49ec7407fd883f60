// SPDX-License-Identifier: Apache-2.0
#include "tcp_sockets.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <array>
#include <cctype>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <thread>

#include "base/unique_fd.h"

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

void take(const nlmsghdr& header, const std::string& netns, const std::string& path,
          TcpSockets& out) {
  if (header.nlmsg_type != SOCK_DIAG_BY_FAMILY ||
      header.nlmsg_len < NLMSG_LENGTH(sizeof(inet_diag_msg))) {
    return;
  }
  inet_diag_msg message{};
  std::memcpy(&message, NLMSG_DATA(&header), sizeof(message));
  const std::uint64_t cookie =
      static_cast<std::uint64_t>(message.id.idiag_cookie[1]) << 32U | message.id.idiag_cookie[0];
  out[cookie] = {localOf(message), message.idiag_inode, netns, path};
}

bool askForAll(int fd, std::uint8_t family) {
  struct {
    nlmsghdr header;
    inet_diag_req_v2 request;
  } message{};
  message.header.nlmsg_len = sizeof(message);
  message.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
  message.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  message.request.sdiag_family = family;
  message.request.sdiag_protocol = IPPROTO_TCP;
  message.request.idiag_states = ~kListening;
  return send(fd, &message, sizeof(message), 0) == static_cast<ssize_t>(sizeof(message));
}

// Of the namespace that the thread is in.
void readSockets(std::uint8_t family, const std::string& netns, const std::string& path,
                 TcpSockets& out) {
  const UniqueFd fd(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
  if (!fd.valid() || !askForAll(fd.get(), family)) return;
  alignas(nlmsghdr) std::array<char, 65536> buffer{};
  while (true) {
    const ssize_t length = recv(fd.get(), buffer.data(), buffer.size(), 0);
    if (length <= 0) return;
    auto left = static_cast<unsigned>(length);
    for (auto* header = reinterpret_cast<nlmsghdr*>(buffer.data()); NLMSG_OK(header, left);
         header = NLMSG_NEXT(header, left)) {
      if (header->nlmsg_type == NLMSG_DONE || header->nlmsg_type == NLMSG_ERROR) return;
      take(*header, netns, path, out);
    }
  }
}

void readAll(TcpSockets& out) {
  for (const auto& [inode, path] : findNamespaces()) {
    const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd.valid() || setns(fd.get(), CLONE_NEWNET) != 0) continue;
    const std::string netns = "net:[" + std::to_string(inode) + "]";
    readSockets(AF_INET, netns, path, out);
    readSockets(AF_INET6, netns, path, out);
  }
}

}  // namespace

TcpSockets readTcpSockets() {
  TcpSockets sockets;
  std::thread(readAll, std::ref(sockets)).join();
  return sockets;
}

}  // namespace sockmesh::ctl
