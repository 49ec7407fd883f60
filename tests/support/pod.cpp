// SPDX-License-Identifier: Apache-2.0
#include "support/pod.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <fstream>
#include <thread>

#include "support/net.h"

namespace sockmesh::test {
namespace {

struct Order {
  char address[64] = {};
  int patienceMs = 0;
};

int connectWithin(const SocketAddress& address, int patienceMs) {
  const UniqueFd socket = tcpSocket(!address.ip.isV4(), true);
  const int error = connectErrno(socket.get(), address);
  if (error != EINPROGRESS) return error;
  pollfd waiting{socket.get(), POLLOUT, 0};
  if (poll(&waiting, 1, patienceMs) <= 0) return ETIMEDOUT;
  int result = 0;
  socklen_t length = sizeof(result);
  getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &result, &length);
  return result;
}

Status runAll(const std::vector<std::vector<std::string>>& commands) {
  for (const auto& command : commands) {
    const Ran ran = run(command);
    if (ran.code != 0) return Error(command.front() + ": " + ran.output);
  }
  return {};
}

}  // namespace

Status addAddress(const std::string& ip) {
  return runAll({{"ip", "address", "replace", ip + "/32", "dev", "lo"}});
}

void Pod::serve(int channel) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  // Above all the test's listeners, which must close when the test closes them.
  channel = dup2(channel, 3);
  close_range(4, ~0U, 0);
  int ready = unshare(CLONE_NEWNET) == 0 ? 0 : errno;
  if (write(channel, &ready, sizeof(ready)) != sizeof(ready)) _exit(1);
  for (Order order; read(channel, &order, sizeof(order)) == sizeof(order);) {
    const int result = connectWithin(at(order.address), order.patienceMs);
    if (write(channel, &result, sizeof(result)) != sizeof(result)) break;
  }
  _exit(0);
}

Result<std::unique_ptr<Pod>> Pod::create(int number, const std::string& cgroup) {
  int ends[2] = {-1, -1};
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
    return Error::fromErrno("socketpair", errno);
  }
  std::unique_ptr<Pod> pod(new Pod());
  pod->channel_ = UniqueFd(ends[0]);
  const UniqueFd childs(ends[1]);
  pod->pid_ = fork();
  if (pod->pid_ == 0) {
    if (!cgroup.empty()) std::ofstream(cgroup + "/cgroup.procs") << getpid() << std::flush;
    serve(childs.get());
  }
  int ready = -1;
  if (read(pod->channel_.get(), &ready, sizeof(ready)) != sizeof(ready) || ready != 0) {
    return Error::fromErrno("a namespace for the pod", ready);
  }
  const std::string net = "10.98." + std::to_string(number);
  pod->device_ = "smpod" + std::to_string(number);
  auto done = runAll({{"ip", "link", "add", pod->device_, "type", "veth", "peer", "name", "eth0",
                       "netns", std::to_string(pod->pid_)},
                      {"ip", "address", "add", net + ".1/24", "dev", pod->device_},
                      {"ip", "link", "set", pod->device_, "up"}});
  if (!done) return done.error();
  for (const std::vector<std::string>& command :
       {std::vector<std::string>{"ip", "link", "set", "lo", "up"},
        {"ip", "address", "add", net + ".2/24", "dev", "eth0"},
        {"ip", "link", "set", "eth0", "up"},
        {"ip", "route", "add", "default", "via", net + ".1"}}) {
    const Ran ran = pod->exec(command);
    if (ran.code != 0) return Error("in the pod: " + ran.output);
  }
  return pod;
}

Pod::~Pod() {
  if (pid_ <= 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  run({"ip", "link", "delete", device_});
}

int Pod::connect(const SocketAddress& address, std::chrono::milliseconds patience) {
  Order order;
  std::strncpy(order.address, address.toString().c_str(), sizeof(order.address) - 1);
  order.patienceMs = static_cast<int>(patience.count());
  int result = -1;
  if (write(channel_.get(), &order, sizeof(order)) != sizeof(order)) return -1;
  if (read(channel_.get(), &result, sizeof(result)) != sizeof(result)) return -1;
  return result;
}

UniqueFd Pod::socketInside(int family, int type) const {
  const UniqueFd netns(
      open(("/proc/" + std::to_string(pid_) + "/ns/net").c_str(), O_RDONLY | O_CLOEXEC));
  UniqueFd made;
  // A namespace belongs to a thread.
  std::thread([&] {
    if (setns(netns.get(), CLONE_NEWNET) == 0) made = UniqueFd(socket(family, type, 0));
  }).join();
  return made;
}

Ran Pod::exec(std::vector<std::string> command) const {
  std::vector<std::string> inside = {"nsenter", "-t", std::to_string(pid_), "-n"};
  inside.insert(inside.end(), command.begin(), command.end());
  return run(inside);
}

}  // namespace sockmesh::test
