// SPDX-License-Identifier: Apache-2.0
// A process without privileges, in user and network namespaces that it made by itself. There it
// gives itself any address, and so can play any endpoint. It lives in the caller's cgroup, or in
// one that it is given, so the hooks see its connects.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "model/address.h"

namespace sockmesh::test {

class Tenant {
 public:
  // Its namespace has the address `ip` (IPv4), and all of 127.0.0.0/8 and ::1, on loopback.
  // `uid`: who it is; not root. `cgroup`: its folder; empty: the caller's.
  static Result<std::unique_ptr<Tenant>> create(const std::string& ip, unsigned uid = 65534,
                                                const std::string& cgroup = "");
  ~Tenant();
  Tenant(const Tenant&) = delete;
  Tenant& operator=(const Tenant&) = delete;

  pid_t pid() const { return pid_; }
  // Listens on this address of its own, or closes the listener. 0, or an errno.
  int listen(const SocketAddress& address);
  int close();
  // Connects this many times, each closed again, and counts those that were served; -1: broken.
  int connect(const SocketAddress& address, int times = 1);
  // Sends a datagram from each of so many connected UDP sockets: those that were refused.
  int sendDatagrams(const SocketAddress& address, int times);
  // The same as connect(), and holds what was served.
  int hold(const SocketAddress& address, int times);
  // The same, each from another source address of 127.0.0.0/8, bound first.
  int connectFromMany(const SocketAddress& address, int times);

 private:
  Tenant() = default;
  [[noreturn]] static void serve(int channel, const std::string& ip, unsigned uid);
  int ask(char what, const SocketAddress* address, int times);

  pid_t pid_ = -1;
  UniqueFd channel_;
};

}  // namespace sockmesh::test
