// SPDX-License-Identifier: Apache-2.0
// The kernel's list of TCP sockets, as `ss` reads it.
#pragma once

#include <linux/inet_diag.h>

#include <cstdint>
#include <functional>

namespace sockmesh::ctl {

// The socket's cookie, "sk:" of `ss -e`.
std::uint64_t cookieOf(const inet_diag_msg& message);

// Calls `visit` for each TCP socket of both address families in the thread's network namespace.
// `states`: one bit for each state of TCP.
void eachTcpSocket(std::uint32_t states, const std::function<void(const inet_diag_msg&)>& visit);

}  // namespace sockmesh::ctl
