// SPDX-License-Identifier: Apache-2.0
#include "peers/peers_fixture.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstdio>

namespace sockmesh::test {
namespace {

// The namespace belongs to the test process, so no other process uses this port.
constexpr const char* kControl = "127.0.0.1:18001";

// PUTs `body`; the answer, "" where there is none.
std::string put(const std::string& path, const std::string& body) {
  auto connection = connectTo(at(kControl));
  if (!connection) return "";
  const std::string request =
      "PUT " + path + " HTTP/1.0\r\nHost: peer\r\nContent-Length: " + std::to_string(body.size()) +
      "\r\n\r\n" + body;
  for (std::size_t sent = 0; sent < request.size();) {
    const ssize_t more =
        send(connection->get(), request.data() + sent, request.size() - sent, MSG_NOSIGNAL);
    if (more <= 0) return "";
    sent += static_cast<std::size_t>(more);
  }
  std::string answer;
  std::array<char, 4096> buffer{};
  for (ssize_t got = 0; (got = recv(connection->get(), buffer.data(), buffer.size(), 0)) > 0;) {
    answer.append(buffer.data(), static_cast<std::size_t>(got));
  }
  return answer;
}

}  // namespace

void Peers::TearDown() {
  if (HasFailure() && peer_ != nullptr) std::fprintf(stderr, "%s\n", peer_->log().c_str());
  peer_.reset();
  MeshTest::TearDown();
}

void Peers::startPeer(const std::vector<std::string>& moreFlags) {
  std::vector<std::string> command = {binary("../tests/go_control_plane"), "--cache",
                                      std::get<0>(GetParam())};
  command.insert(command.end(), moreFlags.begin(), moreFlags.end());
  peer_ = std::make_unique<Process>(command, sandbox_->folder() + "/peer.log");
  ASSERT_TRUE(eventually([&] { return connectTo(at(kControl)).ok(); }, std::chrono::seconds(20)))
      << peer_->log();
}

void Peers::startAgent(const std::string& more) {
  mesh_->startAgent(
      mesh_->agentConfig("ads: { protocol: " + std::get<1>(GetParam()) + " }\n" + more));
}

void Peers::start(const Services& services) {
  startPeer();
  offer(services);
  startAgent();
  ASSERT_TRUE(mesh_->ready()) << mesh_->agent().log();
  expectServed(services);
}

std::string Peers::yamlOf(const Services& services, const std::string& more) const {
  std::string yaml = "resources:\n";
  for (const auto& [vip, indices] : services) {
    std::vector<std::string> endpoints;
    for (const std::size_t index : indices) endpoints.push_back(hosts_[index]);
    const std::string one = serviceYaml(vip, "of " + vip, endpoints);
    yaml += one.substr(one.find('\n') + 1);
  }
  return services.empty() && more.empty() ? "resources: []\n" : yaml + more;
}

std::string Peers::offer(const std::string& yaml) {
  const std::string version = "v" + std::to_string(++version_);
  const std::string answer = put("/?version=" + version, yaml);
  EXPECT_NE(answer.find("\r\n\r\nok"), std::string::npos) << answer << yaml;
  return version;
}

bool Peers::has(const Services& services) const {
  const KernelImage image = mesh_->image();
  if (image.services.size() != services.size()) return false;
  return std::all_of(services.begin(), services.end(), [&](const auto& one) {
    const auto found = image.services.find({at(one.first), Protocol::kTcp});
    if (found == image.services.end()) return false;
    std::vector<SocketAddress> wanted;
    for (const std::size_t index : one.second) wanted.push_back(at(hosts_[index]));
    const auto& groups = found->second.service->groups;
    return groups.size() == 1 &&
           std::is_permutation(groups[0]->hosts.begin(), groups[0]->hosts.end(), wanted.begin(),
                               wanted.end());
  });
}

void Peers::expectServed(const Services& services, const std::vector<std::string>& gone) {
  ASSERT_TRUE(eventually([&] { return has(services); }, std::chrono::seconds(30)))
      << mesh_->agent().log() << mesh_->get("/config_dump");
  for (const auto& [vip, hosts] : services) expectConnects(vip, hosts);
  for (const std::string& vip : gone) {
    EXPECT_FALSE(connectTo(at(vip))) << vip << " leads somewhere";
  }
}

void Peers::expectConnects(const std::string& vip, const std::vector<std::size_t>& hosts) {
  for (std::size_t i = 0; i < 3; ++i) {
    const auto connection = connectTo(at(vip));
    if (hosts.empty()) {
      EXPECT_FALSE(connection) << vip << " has no endpoint";
      continue;
    }
    ASSERT_TRUE(connection) << vip << ": " << connection.error().message();
    const std::size_t index = acceptor();
    EXPECT_NE(std::find(hosts.begin(), hosts.end(), index), hosts.end())
        << vip << " led to backend " << index << ", which is none of its own";
  }
}

std::size_t Peers::acceptor() const {
  std::vector<pollfd> waiting;
  for (const UniqueFd& listener : listeners_) waiting.push_back({listener.get(), POLLIN, 0});
  if (poll(waiting.data(), waiting.size(), 10000) != 1) return listeners_.size();
  for (std::size_t i = 0; i < waiting.size(); ++i) {
    if (waiting[i].revents == 0) continue;
    acceptOn(listeners_[i]);
    return i;
  }
  return listeners_.size();
}

bool Peers::peerSaid(const std::string& text, std::size_t start) const {
  return eventually([&] { return peer_->log().find(text, start) != std::string::npos; },
                    std::chrono::seconds(20));
}

std::size_t Peers::said(const std::string& text) const {
  const std::string log = peer_->log();
  std::size_t count = 0;
  for (std::size_t at = 0; (at = log.find(text, at)) != std::string::npos; ++at) ++count;
  return count;
}

}  // namespace sockmesh::test
