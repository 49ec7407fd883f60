// SPDX-License-Identifier: Apache-2.0
// Fixture: an agent, and a control plane that is made of somebody else's library. The control plane
// is a process of its own, which a test tells what to serve.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "integration/mesh_test.h"

namespace sockmesh::test {

// What is to be served: by VIP ("address:port"), a cluster of that name and its hosts, by index.
using Services = std::map<std::string, std::vector<std::size_t>>;

// Of the library's caches, and of the protocols.
using PeerKind = std::tuple<std::string, std::string>;

class Peers : public MeshTest, public ::testing::WithParamInterface<PeerKind> {
 protected:
  void TearDown() override;

  void startPeer(const std::vector<std::string>& moreFlags = {});
  void stopPeer() { peer_.reset(); }
  // `more` is configuration.
  void startAgent(const std::string& more = "");
  // The peer and the agent, which is ready.
  void start(const Services& services);

  // Of `services`, with `more` list items behind them.
  std::string yamlOf(const Services& services, const std::string& more = "") const;
  // The peer serves this and nothing else from now on. Returns its version.
  std::string offer(const std::string& yaml);
  std::string offer(const Services& services) { return offer(yamlOf(services)); }

  // Waits until the kernel has these services and no others, then connects to each of them and to
  // those of `gone`.
  void expectServed(const Services& services, const std::vector<std::string>& gone = {});
  // Waits until the peer's log has this line, counted from `start`.
  bool peerSaid(const std::string& text, std::size_t start = 0) const;
  // How often the peer's log has `text`.
  std::size_t said(const std::string& text) const;

  Process& peer() { return *peer_; }

 private:
  bool has(const Services& services) const;
  void expectConnects(const std::string& vip, const std::vector<std::size_t>& hosts);
  // The backend that accepted a connection which was made just now.
  std::size_t acceptor() const;

  std::unique_ptr<Process> peer_;
  int version_ = 0;
};

}  // namespace sockmesh::test
