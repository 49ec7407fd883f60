// SPDX-License-Identifier: Apache-2.0
// Fixture: a sandbox with an agent and a control plane yet to be started, and three backends that
// listen.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "support/mesh.h"
#include "support/net.h"

namespace sockmesh::test {

inline constexpr const char* kVip = "10.96.0.1:80";

// Whether a line of the output has all of these parts.
inline bool lineHas(const std::string& output, const std::vector<std::string>& parts) {
  std::istringstream lines(output);
  for (std::string line; std::getline(lines, line);) {
    if (std::ranges::all_of(
            parts, [&](const auto& part) { return line.find(part) != std::string::npos; })) {
      return true;
    }
  }
  return false;
}

class MeshTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto sandbox = Sandbox::create();
    ASSERT_TRUE(sandbox) << sandbox.error().message();
    sandbox_ = std::move(sandbox).value();
    mesh_ = std::make_unique<Mesh>(*sandbox_);
    for (int i = 1; i <= 3; ++i) {
      SocketAddress address = at("127.0.1." + std::to_string(i) + ":0");
      listeners_.push_back(std::move(listenOn(address, 4096)).value());
      hosts_.push_back(address.toString());
    }
  }
  void TearDown() override { mesh_.reset(); }

  std::unique_ptr<Sandbox> sandbox_;
  std::unique_ptr<Mesh> mesh_;
  std::vector<UniqueFd> listeners_;
  std::vector<std::string> hosts_;  // addresses of listeners_
};

}  // namespace sockmesh::test
