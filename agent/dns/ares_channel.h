// SPDX-License-Identifier: Apache-2.0
// c-ares in an event loop: one channel, with its servers, sockets and timer. Lives on the loop's
// thread.
#pragma once

#include <ares.h>

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/event_loop.h"
#include "dns/name_resolver.h"

namespace sockmesh {

class AresChannel {
 public:
  // `servers` empty: those of resolv.conf. `loop` outlives the channel.
  static Result<std::unique_ptr<AresChannel>> create(EventLoop& loop,
                                                     const DnsResolverSettings& settings,
                                                     const std::vector<SocketAddress>& servers);
  // Questions that are open are never answered. Not within an answer of this channel.
  ~AresChannel();
  AresChannel(const AresChannel&) = delete;
  AresChannel& operator=(const AresChannel&) = delete;

  // Asks for the addresses of one family, AF_INET or AF_INET6. `done` may be called at once.
  void ask(const std::string& name, int family, std::function<void(DnsAnswer)> done);
  // Questions without an answer.
  std::size_t open() const { return open_; }
  // No server answered the last question, or the servers could not be reached. A new channel may do
  // better, because the system's servers may be others by now.
  bool broken() const { return broken_; }

 private:
  explicit AresChannel(EventLoop& loop) : loop_(loop) {}
  struct Asked;

  static void onSocket(void* self, ares_socket_t fd, int readable, int writable);
  static void onAnswer(void* asked, int status, int timeouts, ares_addrinfo* result);
  void process(int fd);
  void setTimer();

  EventLoop& loop_;
  ares_channel channel_ = nullptr;
  std::set<int> watched_;
  EventLoop::TimerId timer_ = 0;
  std::size_t open_ = 0;
  bool broken_ = false;
  bool ending_ = false;
};

}  // namespace sockmesh
