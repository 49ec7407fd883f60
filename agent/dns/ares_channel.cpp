// SPDX-License-Identifier: Apache-2.0
#include "dns/ares_channel.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/time.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

namespace sockmesh {
namespace {

// A library that is used until the process ends.
Status initLibrary() {
  static const int status = ares_library_init(ARES_LIB_INIT_ALL);
  if (status != ARES_SUCCESS) return Error(std::string("c-ares: ") + ares_strerror(status));
  return {};
}

std::string joined(const std::vector<SocketAddress>& servers) {
  std::string text;
  for (const SocketAddress& server : servers) text += (text.empty() ? "" : ",") + server.toString();
  return text;
}

IpAddress ipOf(const sockaddr* address) {
  if (address->sa_family == AF_INET) {
    std::array<std::uint8_t, 4> bytes{};
    std::memcpy(bytes.data(), &reinterpret_cast<const sockaddr_in*>(address)->sin_addr,
                bytes.size());
    return IpAddress::v4(bytes);
  }
  std::array<std::uint8_t, 16> bytes{};
  std::memcpy(bytes.data(), &reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr,
              bytes.size());
  return IpAddress::v6(bytes);
}

std::vector<DnsAddress> addressesOf(const ares_addrinfo& result) {
  std::vector<DnsAddress> addresses;
  for (const ares_addrinfo_node* node = result.nodes; node != nullptr; node = node->ai_next) {
    addresses.push_back({ipOf(node->ai_addr), std::chrono::seconds(std::max(node->ai_ttl, 0))});
  }
  return addresses;
}

ares_options optionsOf(const DnsResolverSettings& settings, int& mask) {
  ares_options options{};
  options.timeout = static_cast<int>(settings.timeoutSeconds) * 1000;
  options.tries = static_cast<int>(settings.tries);
  options.flags = (settings.tcp ? ARES_FLAG_USEVC : 0) | (settings.search ? 0 : ARES_FLAG_NOSEARCH);
  mask = ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_FLAGS | ARES_OPT_SOCK_STATE_CB |
         (settings.rotate ? ARES_OPT_ROTATE : ARES_OPT_NOROTATE);
  return options;
}

}  // namespace

struct AresChannel::Asked {
  AresChannel* channel;
  std::function<void(DnsAnswer)> done;
};

Result<std::unique_ptr<AresChannel>> AresChannel::create(
    EventLoop& loop, const DnsResolverSettings& settings,
    const std::vector<SocketAddress>& servers) {
  if (auto ok = initLibrary(); !ok) return ok.error();
  std::unique_ptr<AresChannel> made(new AresChannel(loop));
  int mask = 0;
  ares_options options = optionsOf(settings, mask);
  options.sock_state_cb = onSocket;
  options.sock_state_cb_data = made.get();
  int status = ares_init_options(&made->channel_, &options, mask);
  if (status != ARES_SUCCESS) {
    made->channel_ = nullptr;
    return Error(std::string("c-ares: ") + ares_strerror(status));
  }
  if (servers.empty()) return made;
  status = ares_set_servers_ports_csv(made->channel_, joined(servers).c_str());
  if (status != ARES_SUCCESS) {
    return Error("c-ares: servers " + joined(servers) + ": " + ares_strerror(status));
  }
  return made;
}

AresChannel::~AresChannel() {
  ending_ = true;
  loop_.cancel(timer_);
  if (channel_ != nullptr) ares_destroy(channel_);
  for (const int fd : watched_) loop_.unwatch(fd);
}

void AresChannel::ask(const std::string& name, int family, std::function<void(DnsAnswer)> done) {
  ares_addrinfo_hints hints{};
  hints.ai_family = family;
  // In the order of the answer, as Envoy takes them.
  hints.ai_flags = ARES_AI_NOSORT;
  ++open_;
  ares_getaddrinfo(channel_, name.c_str(), nullptr, &hints, onAnswer,
                   new Asked{this, std::move(done)});
  setTimer();
}

void AresChannel::onAnswer(void* asked, int status, int /*timeouts*/, ares_addrinfo* result) {
  const std::unique_ptr<Asked> one(static_cast<Asked*>(asked));
  const std::unique_ptr<ares_addrinfo, decltype(&ares_freeaddrinfo)> owned(result,
                                                                           ares_freeaddrinfo);
  AresChannel& self = *one->channel;
  --self.open_;
  if (self.ending_) return;
  if (status == ARES_SUCCESS) return one->done(addressesOf(*owned));
  if (status == ARES_ENODATA || status == ARES_ENOTFOUND) return one->done(DnsAnswer({}));
  self.broken_ = true;
  one->done(Error(ares_strerror(status)));
}

// c-ares says what it waits for on a socket. A descriptor is watched for one of the two. What is
// sent goes first: it is short, and afterwards c-ares asks for reading again.
void AresChannel::onSocket(void* self, ares_socket_t fd, int readable, int writable) {
  AresChannel& channel = *static_cast<AresChannel*>(self);
  if (channel.watched_.erase(fd) > 0) channel.loop_.unwatch(fd);
  if (readable == 0 && writable == 0) return;
  const auto ready = [&channel, fd] { channel.process(fd); };
  const Status watched =
      writable != 0 ? channel.loop_.watchWritable(fd, ready) : channel.loop_.watch(fd, ready);
  // Without a watch the question times out, and is put again on another socket.
  if (watched) channel.watched_.insert(fd);
}

void AresChannel::process(int fd) {
  ares_process_fd(channel_, fd, fd);
  setTimer();
}

void AresChannel::setTimer() {
  loop_.cancel(std::exchange(timer_, 0));
  timeval left{};
  if (ares_timeout(channel_, nullptr, &left) == nullptr) return;
  const Nanos delay = std::chrono::seconds(left.tv_sec) + std::chrono::microseconds(left.tv_usec);
  timer_ = loop_.after(delay, [this] {
    timer_ = 0;
    process(ARES_SOCKET_BAD);
  });
}

}  // namespace sockmesh
