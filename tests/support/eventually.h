// SPDX-License-Identifier: Apache-2.0
// Waits for something that the kernel does by itself (a timer, the ACK of the other end): checks
// often, and gives up after a while. If there is an event, wait for the event instead.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <thread>

namespace sockmesh::test {

// SOCKMESH_PATIENCE=N waits N times as long: for machines that are emulated.
inline int patienceFactor() {
  const char* factor = std::getenv("SOCKMESH_PATIENCE");
  return factor == nullptr ? 1 : std::max(1, std::atoi(factor));
}

template <typename Condition>
bool eventually(Condition condition, std::chrono::milliseconds patience = std::chrono::seconds(5)) {
  const auto until = std::chrono::steady_clock::now() + patience * patienceFactor();
  while (!condition()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

}  // namespace sockmesh::test
