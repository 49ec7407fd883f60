// SPDX-License-Identifier: Apache-2.0
// What tests of UDP sockets share.
#pragma once

#include <poll.h>

#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "support/datapath_test.h"

namespace sockmesh::test {

inline constexpr const char* kVip = "10.96.0.1:53";
inline constexpr const char* kVip6 = "[fd00::1]:53";

// Two endpoints, each with a server.
class Udp : public DatapathTest {
 protected:
  void SetUp() override {
    DatapathTest::SetUp();
    if (HasFatalFailure()) return;
    atA_ = std::move(udpServer(a_)).value();
    atB_ = std::move(udpServer(b_)).value();
  }
  // kVip is cluster "dns" with these endpoints.
  void serve(const std::vector<SocketAddress>& endpoints) {
    std::vector<std::string> names;
    for (const SocketAddress& one : endpoints) names.push_back(one.toString());
    apply(TableBuilder().service(kVip, "dns", names).udp(kVip));
  }
  // kVip is cluster "one" with the first endpoint, other_ is cluster "two" with the second.
  void serveTwo(const SocketAddress& first, const SocketAddress& second) {
    apply(TableBuilder()
              .service(kVip, "one", {first.toString()})
              .service(other_.toString(), "two", {second.toString()})
              .udp(kVip)
              .udp(other_.toString()));
  }
  // One exchange over `client`, which sent to a VIP: the server answers to whom it received from.
  // What the client receives.
  static Datagram answer(const UniqueFd& client, const UniqueFd& server) {
    const Datagram request = receive(server.get());
    EXPECT_EQ(request.error, 0) << "nothing came to the endpoint";
    EXPECT_EQ(sendErrno(server.get(), "re: " + request.text, request.from), 0);
    return receive(client.get());
  }
  // Which of the two has a datagram to read, and the other one.
  struct Reached {
    const UniqueFd& server;
    const UniqueFd& other;
  };
  static Reached reached(const UniqueFd& a, const UniqueFd& b) {
    std::array<pollfd, 2> waits = {{{.fd = a.get(), .events = POLLIN, .revents = 0},
                                    {.fd = b.get(), .events = POLLIN, .revents = 0}}};
    EXPECT_EQ(poll(waits.data(), waits.size(), 10'000), 1);
    return waits[0].revents != 0 ? Reached{a, b} : Reached{b, a};
  }
  // A port of loopback on which nobody listens.
  static SocketAddress closedPort() {
    SocketAddress address = at("127.0.0.4:0");
    EXPECT_TRUE(udpServer(address));  // and closed again
    return address;
  }
  std::uint64_t counter(sm_counter which) { return readCounter(datapath_->maps(), which).value(); }
  std::uint64_t flows() { return datapath_->maps().flows.count(); }

  SocketAddress a_ = at("127.0.0.2:0");
  SocketAddress b_ = at("127.0.0.3:0");
  UniqueFd atA_, atB_;
  const SocketAddress other_ = at("10.96.0.2:53");
};

}  // namespace sockmesh::test
