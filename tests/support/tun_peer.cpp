// SPDX-License-Identifier: Apache-2.0
#include "support/tun_peer.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <vector>

#include "support/process.h"

namespace sockmesh::test {
namespace {

constexpr const char* kDevice = "smtun0";

std::uint16_t fold(std::uint32_t sum) {
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(~sum);
}

std::uint32_t sumOf(const void* data, std::size_t size) {
  const auto* bytes = static_cast<const std::uint8_t*>(data);
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i + 1 < size; i += 2) sum += (bytes[i] << 8) | bytes[i + 1];
  if (size % 2 == 1) sum += bytes[size - 1] << 8;
  return sum;
}

iphdr ipHeader(const iphdr& request, std::uint8_t protocol, std::size_t payload) {
  iphdr ip{};
  ip.version = 4;
  ip.ihl = 5;
  ip.ttl = 64;
  ip.protocol = protocol;
  ip.tot_len = htons(static_cast<std::uint16_t>(sizeof(ip) + payload));
  ip.saddr = request.daddr;
  ip.daddr = request.saddr;
  ip.check = htons(fold(sumOf(&ip, sizeof(ip))));
  return ip;
}

std::vector<std::uint8_t> joined(const iphdr& ip, const void* payload, std::size_t size) {
  std::vector<std::uint8_t> packet(sizeof(ip) + size);
  std::memcpy(packet.data(), &ip, sizeof(ip));
  std::memcpy(packet.data() + sizeof(ip), payload, size);
  return packet;
}

struct Flags {
  bool syn = false;
  bool ack = false;
  bool rst = false;
};

std::vector<std::uint8_t> segment(const iphdr& request, const tcphdr& syn, Flags flags,
                                  std::uint32_t sequence) {
  tcphdr tcp{};
  tcp.source = syn.dest;
  tcp.dest = syn.source;
  tcp.seq = htonl(sequence);
  tcp.ack_seq = flags.ack ? htonl(ntohl(syn.seq) + 1) : 0;
  tcp.doff = 5;
  tcp.syn = flags.syn;
  tcp.ack = flags.ack;
  tcp.rst = flags.rst;
  tcp.window = htons(65535);
  const iphdr ip = ipHeader(request, IPPROTO_TCP, sizeof(tcp));
  const std::uint32_t pseudo = sumOf(&ip.saddr, 8) + IPPROTO_TCP + sizeof(tcp);
  tcp.check = htons(fold(pseudo + sumOf(&tcp, sizeof(tcp))));
  return joined(ip, &tcp, sizeof(tcp));
}

std::vector<std::uint8_t> unreachable(const iphdr& request, const std::uint8_t* packet) {
  std::array<std::uint8_t, sizeof(icmphdr) + sizeof(iphdr) + 8> message{};
  icmphdr icmp{};
  icmp.type = ICMP_DEST_UNREACH;
  icmp.code = ICMP_HOST_UNREACH;
  std::memcpy(message.data() + sizeof(icmp), packet, sizeof(iphdr) + 8);
  std::memcpy(message.data(), &icmp, sizeof(icmp));
  icmp.checksum = htons(fold(sumOf(message.data(), message.size())));
  std::memcpy(message.data(), &icmp, sizeof(icmp));
  return joined(ipHeader(request, IPPROTO_ICMP, message.size()), message.data(), message.size());
}

}  // namespace

Result<std::unique_ptr<TunPeer>> TunPeer::create() {
  std::unique_ptr<TunPeer> peer(new TunPeer());
  peer->tun_ = UniqueFd(open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK));
  if (!peer->tun_.valid()) return Error::fromErrno("/dev/net/tun", errno);
  ifreq request{};
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  std::strncpy(request.ifr_name, kDevice, IFNAMSIZ - 1);
  if (ioctl(peer->tun_.get(), TUNSETIFF, &request) != 0) return Error::fromErrno(kDevice, errno);
  for (const std::vector<std::string>& command :
       {std::vector<std::string>{"ip", "address", "add", "10.99.0.1/24", "dev", kDevice},
        std::vector<std::string>{"ip", "link", "set", kDevice, "up"}}) {
    const Ran ran = run(command);
    if (ran.code != 0) return Error("ip: " + ran.output);
  }
  peer->stop_ = UniqueFd(eventfd(0, EFD_CLOEXEC));
  peer->thread_ = std::thread([self = peer.get()] { self->serve(); });
  return peer;
}

TunPeer::~TunPeer() {
  if (!thread_.joinable()) return;
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t told = write(stop_.get(), &one, sizeof(one));
  thread_.join();
}

void TunPeer::serve() {
  std::array<std::uint8_t, 2048> packet{};
  std::array<pollfd, 2> fds = {{{tun_.get(), POLLIN, 0}, {stop_.get(), POLLIN, 0}}};
  while (poll(fds.data(), fds.size(), -1) >= 0 && fds[1].revents == 0) {
    const ssize_t size = read(tun_.get(), packet.data(), packet.size());
    if (size > 0) answer(packet.data(), static_cast<std::size_t>(size));
  }
}

void TunPeer::answer(const std::uint8_t* packet, std::size_t size) {
  iphdr ip{};
  tcphdr tcp{};
  if (size < sizeof(ip) + sizeof(tcp)) return;
  std::memcpy(&ip, packet, sizeof(ip));
  if (ip.version != 4 || ip.protocol != IPPROTO_TCP) return;
  std::memcpy(&tcp, packet + sizeof(ip), sizeof(tcp));
  if (!tcp.syn) return;
  constexpr std::uint32_t kSequence = 1000;
  std::vector<std::vector<std::uint8_t>> answers;
  switch (ntohl(ip.daddr) & 0xff) {
    case 11:
      answers = {segment(ip, tcp, {.ack = true, .rst = true}, 0)};
      break;
    case 12:
      // The answer to the peer's own SYN also has SYN and ACK set, and is answered only once.
      if (tcp.ack) break;
      answers = {segment(ip, tcp, {.syn = true}, kSequence),
                 segment(ip, tcp, {.rst = true}, kSequence + 1)};
      break;
    case 13:
      answers = {segment(ip, tcp, {.syn = true, .ack = true}, kSequence),
                 segment(ip, tcp, {.rst = true}, kSequence + 1)};
      break;
    case 14:
      answers = {unreachable(ip, packet)};
      break;
    default:
      break;
  }
  for (const auto& one : answers) {
    [[maybe_unused]] const ssize_t written = write(tun_.get(), one.data(), one.size());
  }
}

}  // namespace sockmesh::test
