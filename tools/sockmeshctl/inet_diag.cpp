// SPDX-License-Identifier: Apache-2.0
#include "inet_diag.h"

#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cstring>

#include "base/unique_fd.h"

namespace sockmesh::ctl {
namespace {

void take(const nlmsghdr& header, const std::function<void(const inet_diag_msg&)>& visit) {
  if (header.nlmsg_type != SOCK_DIAG_BY_FAMILY ||
      header.nlmsg_len < NLMSG_LENGTH(sizeof(inet_diag_msg))) {
    return;
  }
  inet_diag_msg message{};
  std::memcpy(&message, NLMSG_DATA(&header), sizeof(message));
  visit(message);
}

bool ask(int fd, std::uint8_t family, std::uint32_t states) {
  struct {
    nlmsghdr header;
    inet_diag_req_v2 request;
  } message{};
  message.header.nlmsg_len = sizeof(message);
  message.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
  message.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  message.request.sdiag_family = family;
  message.request.sdiag_protocol = IPPROTO_TCP;
  message.request.idiag_states = states;
  return send(fd, &message, sizeof(message), 0) == static_cast<ssize_t>(sizeof(message));
}

void readFamily(std::uint8_t family, std::uint32_t states,
                const std::function<void(const inet_diag_msg&)>& visit) {
  const UniqueFd fd(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
  if (!fd.valid() || !ask(fd.get(), family, states)) return;
  alignas(nlmsghdr) std::array<char, 65536> buffer{};
  while (true) {
    const ssize_t length = recv(fd.get(), buffer.data(), buffer.size(), 0);
    if (length <= 0) return;
    auto left = static_cast<unsigned>(length);
    for (auto* header = reinterpret_cast<nlmsghdr*>(buffer.data()); NLMSG_OK(header, left);
         header = NLMSG_NEXT(header, left)) {
      if (header->nlmsg_type == NLMSG_DONE || header->nlmsg_type == NLMSG_ERROR) return;
      take(*header, visit);
    }
  }
}

}  // namespace

std::uint64_t cookieOf(const inet_diag_msg& message) {
  return static_cast<std::uint64_t>(message.id.idiag_cookie[1]) << 32U | message.id.idiag_cookie[0];
}

void eachTcpSocket(std::uint32_t states, const std::function<void(const inet_diag_msg&)>& visit) {
  readFamily(AF_INET, states, visit);
  readFamily(AF_INET6, states, visit);
}

}  // namespace sockmesh::ctl
