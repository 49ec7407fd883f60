// SPDX-License-Identifier: Apache-2.0
#include "daemon/privileged_helper.h"

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <string_view>
#include <utility>

#include "base/capabilities.h"
#include "inspect/attachment_info.h"

namespace sockmesh {
namespace {

enum class Call : std::uint32_t { kMountBpffs, kUnmountBpffs, kOpenInner, kProgramsBehindOurs };

// One message each way, over a socket pair of the same program: no format to agree on.
struct Request {
  Call call = Call::kMountBpffs;
  std::uint32_t index = 0;      // kOpenInner
  std::array<char, 64> link{};  // kProgramsBehindOurs
};
struct Answer {
  bool failed = false;
  std::array<char, 1024> text{};  // of a failure, or the answer
};

// What mounting, opening maps by id and naming the programs of others need.
const Capabilities kHelperCapabilities = {CAP_SYS_ADMIN, CAP_DAC_READ_SEARCH, CAP_BPF,
                                          CAP_NET_ADMIN};

// Sends a message, with a descriptor unless it is -1.
template <typename Message>
bool sendMessage(int channel, const Message& message, int fd) {
  iovec data{const_cast<Message*>(&message), sizeof(message)};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  msghdr header{};
  header.msg_iov = &data;
  header.msg_iovlen = 1;
  if (fd >= 0) {
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    cmsghdr* rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(rights), &fd, sizeof(fd));
  }
  return sendmsg(channel, &header, MSG_NOSIGNAL) == static_cast<ssize_t>(sizeof(message));
}

// False: the other end is gone.
template <typename Message>
bool receiveMessage(int channel, Message& message, UniqueFd& fd) {
  iovec data{&message, sizeof(message)};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  msghdr header{};
  header.msg_iov = &data;
  header.msg_iovlen = 1;
  header.msg_control = control.data();
  header.msg_controllen = control.size();
  ssize_t got = 0;
  do {
    got = recvmsg(channel, &header, MSG_CMSG_CLOEXEC);
  } while (got < 0 && errno == EINTR);
  if (got != static_cast<ssize_t>(sizeof(message))) return false;
  const cmsghdr* rights = CMSG_FIRSTHDR(&header);
  if (rights != nullptr && rights->cmsg_type == SCM_RIGHTS) {
    int received = -1;
    std::memcpy(&received, CMSG_DATA(rights), sizeof(received));
    fd = UniqueFd(received);
  }
  return true;
}

void setText(Answer& answer, std::string_view text) {
  const std::size_t length = std::min(text.size(), answer.text.size() - 1);
  std::copy_n(text.begin(), length, answer.text.begin());
}

void setFailure(Answer& answer, const Error& error) {
  answer.failed = true;
  setText(answer, error.message());
}

Answer answerTo(const Request& request, int received, const std::string& bpffsRoot, UniqueFd& fd) {
  Answer answer;
  DirectCalls direct;
  switch (request.call) {
    case Call::kMountBpffs:
      if (auto mounted = direct.mountBpffs(bpffsRoot); !mounted)
        setFailure(answer, mounted.error());
      break;
    case Call::kUnmountBpffs:
      answer.failed = !direct.unmountBpffs(bpffsRoot);
      break;
    case Call::kOpenInner: {
      auto inner = direct.openInner(received, request.index);
      if (inner) fd = std::move(inner).value();
      if (!inner) setFailure(answer, inner.error());
      break;
    }
    case Call::kProgramsBehindOurs:
      setText(answer, sockmesh::programsBehindOurs(bpffsRoot, request.link.data()));
      break;
  }
  return answer;
}

// The life of the helper: until the agent's end of the channel is closed.
[[noreturn]] void serve(int channel, pid_t agent, const std::string& bpffsRoot) {
  // Ctrl-C reaches the whole process group, and the agent may still need a repair.
  std::signal(SIGINT, SIG_IGN);
  std::signal(SIGTERM, SIG_IGN);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  prctl(PR_SET_NAME, "sockmeshd-priv");
  if (getppid() != agent || !limitThread(kHelperCapabilities)) _exit(1);
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  Request request;
  UniqueFd received;
  while (receiveMessage(channel, request, received)) {
    UniqueFd fd;
    const Answer answer = answerTo(request, received.get(), bpffsRoot, fd);
    if (!sendMessage(channel, answer, fd.get())) break;
    received.reset();
  }
  _exit(0);
}

Result<std::pair<Answer, UniqueFd>> ask(int channel, const Request& request, int fd) {
  std::pair<Answer, UniqueFd> out;
  if (!sendMessage(channel, request, fd) || !receiveMessage(channel, out.first, out.second)) {
    return Error("the helper process that keeps CAP_SYS_ADMIN is gone");
  }
  if (!out.first.failed) return out;
  return Error(out.first.text.data());
}

}  // namespace

Result<std::shared_ptr<PrivilegedHelper>> PrivilegedHelper::start(const std::string& bpffsRoot) {
  std::array<int, 2> ends{};
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    return Error::fromErrno("socketpair", errno);
  }
  UniqueFd ours(ends[0]);
  UniqueFd theirs(ends[1]);
  const pid_t agent = getpid();
  const pid_t child = fork();
  if (child < 0) return Error::fromErrno("fork", errno);
  if (child == 0) {
    ours.reset();
    serve(theirs.get(), agent, bpffsRoot);
  }
  return std::shared_ptr<PrivilegedHelper>(new PrivilegedHelper(std::move(ours), child));
}

PrivilegedHelper::~PrivilegedHelper() {
  channel_.reset();
  waitpid(child_, nullptr, 0);
}

Status PrivilegedHelper::mountBpffs(const std::string&) {
  const std::lock_guard lock(mutex_);
  const auto answer = ask(channel_.get(), {.call = Call::kMountBpffs}, -1);
  return answer ? Status() : Status(answer.error());
}

bool PrivilegedHelper::unmountBpffs(const std::string&) {
  const std::lock_guard lock(mutex_);
  return ask(channel_.get(), {.call = Call::kUnmountBpffs}, -1).ok();
}

Result<UniqueFd> PrivilegedHelper::openInner(int outer, std::uint32_t index) {
  const std::lock_guard lock(mutex_);
  auto answer = ask(channel_.get(), {.call = Call::kOpenInner, .index = index}, outer);
  if (!answer) return answer.error();
  if (!answer->second.valid()) return Error("the helper process sent no map");
  return std::move(answer->second);
}

std::string PrivilegedHelper::programsBehindOurs(const std::string& link) {
  const std::lock_guard lock(mutex_);
  Request request{.call = Call::kProgramsBehindOurs};
  std::copy_n(link.begin(), std::min(link.size(), request.link.size() - 1), request.link.begin());
  const auto answer = ask(channel_.get(), request, -1);
  return answer ? std::string(answer->first.text.data()) : "";
}

}  // namespace sockmesh
