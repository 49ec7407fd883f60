// SPDX-License-Identifier: Apache-2.0
#include "support/tenant.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <grp.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <fstream>
#include <vector>

#include "support/net.h"

namespace sockmesh::test {
namespace {

constexpr int kFirstSource = 0x7f010001;  // 127.1.0.1

struct Order {
  char what = 0;
  int times = 0;
  char address[64] = {};
};

bool configure(unsigned long request, const char* device, void* data) {
  const UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  auto* change = static_cast<ifreq*>(data);
  std::strcpy(change->ifr_name, device);
  return ioctl(socket.get(), request, change) == 0;
}

// 0, or an errno.
int enterOwnNamespaces(const std::string& ip, unsigned uid) {
  if (setgroups(0, nullptr) != 0 || setgid(uid) != 0 || setuid(uid) != 0) return errno;
  if (unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) return errno;
  ifreq up{};
  up.ifr_flags = IFF_UP;
  if (!configure(SIOCSIFFLAGS, "lo", &up)) return errno;
  ifreq own{};
  auto* address = reinterpret_cast<sockaddr_in*>(&own.ifr_addr);
  address->sin_family = AF_INET;
  inet_pton(AF_INET, ip.c_str(), &address->sin_addr);
  return configure(SIOCSIFADDR, "lo:1", &own) ? 0 : errno;
}

// One connect(); the socket, if it was served.
UniqueFd connectOnce(const SocketAddress& to, in_addr_t source) {
  UniqueFd socket = tcpSocket(!to.ip.isV4(), true);
  if (source != 0) {
    sockaddr_in from{};
    from.sin_family = AF_INET;
    from.sin_addr.s_addr = htonl(source);
    if (bind(socket.get(), reinterpret_cast<sockaddr*>(&from), sizeof(from)) != 0) return {};
  }
  const int error = connectErrno(socket.get(), to);
  if (error == 0) return socket;
  pollfd waiting{socket.get(), POLLOUT, 0};
  if (error != EINPROGRESS || poll(&waiting, 1, 5000) <= 0) return {};
  int result = 0;
  socklen_t length = sizeof(result);
  getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &result, &length);
  return result == 0 ? std::move(socket) : UniqueFd();
}

// What a tenant has open.
struct Sockets {
  UniqueFd listener;
  std::vector<UniqueFd> held;

  int obey(const Order& order) {
    if (order.what == 'c') {
      listener.reset();
      return 0;
    }
    SocketAddress address = at(order.address);
    if (order.what == 'l') {
      auto made = listenOn(address);
      if (!made) return made.error().errnum();
      listener = std::move(made).value();
      fcntl(listener.get(), F_SETFL, O_NONBLOCK);
      return 0;
    }
    if (order.what == 'd') return sendDatagrams(address, order.times);
    int served = 0;
    for (int i = 0; i < order.times; ++i) {
      const in_addr_t source = order.what == 'm' ? kFirstSource + static_cast<in_addr_t>(i) : 0;
      UniqueFd socket = connectOnce(address, source);
      if (!socket.valid()) continue;
      ++served;
      if (order.what == 'h') held.push_back(std::move(socket));
      drain(order.what == 'h');
    }
    return served;
  }

  static int sendDatagrams(const SocketAddress& to, int times) {
    int refused = 0;
    for (int i = 0; i < times; ++i) {
      const UniqueFd socket = udpSocket(!to.ip.isV4());
      if (connectErrno(socket.get(), to) != 0) continue;
      char byte = 0;
      // The error of the first comes with the second, at the latest with the receipt.
      if (send(socket.get(), &byte, 1, 0) != 1 || recv(socket.get(), &byte, 1, 0) < 0) {
        refused += errno == ECONNREFUSED ? 1 : 0;
      }
    }
    return refused;
  }

  // A full queue of the listener drops SYNs.
  void drain(bool keep) {
    while (listener.valid()) {
      UniqueFd accepted(accept4(listener.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
      if (!accepted.valid()) return;
      if (keep) held.push_back(std::move(accepted));
    }
  }
};

}  // namespace

void Tenant::serve(int channel, const std::string& ip, unsigned uid) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  // Above all the test's listeners, which must close when the test closes them.
  channel = dup2(channel, 3);
  close_range(4, ~0U, 0);
  const rlimit many{4096, 4096};
  setrlimit(RLIMIT_NOFILE, &many);
  int ready = enterOwnNamespaces(ip, uid);
  prctl(PR_SET_PDEATHSIG, SIGKILL);  // a change of user clears it
  if (write(channel, &ready, sizeof(ready)) != sizeof(ready)) _exit(1);
  Sockets sockets;
  for (Order order; read(channel, &order, sizeof(order)) == sizeof(order);) {
    const int answer = sockets.obey(order);
    if (write(channel, &answer, sizeof(answer)) != sizeof(answer)) break;
  }
  _exit(0);
}

Result<std::unique_ptr<Tenant>> Tenant::create(const std::string& ip, unsigned uid,
                                               const std::string& cgroup) {
  int ends[2] = {-1, -1};
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
    return Error::fromErrno("socketpair", errno);
  }
  std::unique_ptr<Tenant> tenant(new Tenant());
  tenant->channel_ = UniqueFd(ends[0]);
  const UniqueFd childs(ends[1]);
  tenant->pid_ = fork();
  if (tenant->pid_ == 0) {
    if (!cgroup.empty()) std::ofstream(cgroup + "/cgroup.procs") << getpid() << std::flush;
    serve(childs.get(), ip, uid);
  }
  int ready = -1;
  if (read(tenant->channel_.get(), &ready, sizeof(ready)) != sizeof(ready) || ready != 0) {
    return Error::fromErrno("a tenant's namespaces", ready);
  }
  return tenant;
}

Tenant::~Tenant() {
  if (pid_ <= 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

int Tenant::ask(char what, const SocketAddress* address, int times) {
  Order order;
  order.what = what;
  order.times = times;
  if (address != nullptr) {
    std::strncpy(order.address, address->toString().c_str(), sizeof(order.address) - 1);
  }
  int answer = -1;
  if (write(channel_.get(), &order, sizeof(order)) != sizeof(order)) return -1;
  if (read(channel_.get(), &answer, sizeof(answer)) != sizeof(answer)) return -1;
  return answer;
}

int Tenant::listen(const SocketAddress& address) {
  return ask('l', &address, 0);
}

int Tenant::close() {
  return ask('c', nullptr, 0);
}

int Tenant::connect(const SocketAddress& address, int times) {
  return ask('n', &address, times);
}

int Tenant::sendDatagrams(const SocketAddress& address, int times) {
  return ask('d', &address, times);
}

int Tenant::hold(const SocketAddress& address, int times) {
  return ask('h', &address, times);
}

int Tenant::connectFromMany(const SocketAddress& address, int times) {
  return ask('m', &address, times);
}

}  // namespace sockmesh::test
