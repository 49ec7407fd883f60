// SPDX-License-Identifier: Apache-2.0
// Hosts that misbehave as no ordinary listener can: behind a tun device of the test's own network
// namespace, 10.99.0.0/24, a thread answers SYNs by the last byte of the address.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>

#include "base/result.h"
#include "base/unique_fd.h"

namespace sockmesh::test {

class TunPeer {
 public:
  static constexpr const char* kSilent = "10.99.0.10:80";            // a black hole
  static constexpr const char* kRefusing = "10.99.0.11:80";          // RST to the SYN
  static constexpr const char* kResetInHandshake = "10.99.0.12:80";  // SYN (simultaneous open), RST
  static constexpr const char* kResetAfterAccept = "10.99.0.13:80";  // SYN-ACK, then RST
  static constexpr const char* kUnreachable = "10.99.0.14:80";       // ICMP host unreachable

  static Result<std::unique_ptr<TunPeer>> create();
  ~TunPeer();
  TunPeer(const TunPeer&) = delete;
  TunPeer& operator=(const TunPeer&) = delete;

 private:
  TunPeer() = default;
  void serve();
  void answer(const std::uint8_t* packet, std::size_t size);

  UniqueFd tun_;
  UniqueFd stop_;
  std::thread thread_;
};

}  // namespace sockmesh::test
