// SPDX-License-Identifier: Apache-2.0
#include "support/mesh.h"

#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>

#include "base/defaults.h"
#include "maps/pin_path.h"
#include "support/eventually.h"
#include "support/net.h"

namespace sockmesh::test {
namespace {

// The namespace belongs to the test process, so no other process uses these ports.
constexpr const char* kXds = "127.0.0.1:18000";
constexpr const char* kAdmin = kDefaultAdminAddress;

std::string endpointYaml(const std::string& text) {
  const std::size_t star = text.find('*');
  const SocketAddress address = at(text.substr(0, star));
  const std::string weight = star == std::string::npos ? "1" : text.substr(star + 1);
  return "    - load_balancing_weight: " + weight +
         "\n      endpoint: { address: { socket_address: { address: \"" + address.ip.toString() +
         "\", port_value: " + std::to_string(address.port) + " } } }\n";
}

}  // namespace

std::string serviceYaml(const std::string& vip, const std::string& cluster,
                        const std::vector<std::string>& endpoints,
                        const std::string& clusterFields) {
  const SocketAddress address = at(vip);
  std::string yaml =
      R"(resources:
- "@type": type.googleapis.com/envoy.config.listener.v3.Listener
  name: "listener )" +
      vip + R"("
  address: { socket_address: { address: ")" +
      address.ip.toString() + R"(", port_value: )" + std::to_string(address.port) + R"( } }
  filter_chains:
  - filters:
    - name: envoy.filters.network.tcp_proxy
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
        stat_prefix: s
        cluster: ")" +
      cluster + R"("
- "@type": type.googleapis.com/envoy.config.cluster.v3.Cluster
  name: ")" +
      cluster + R"("
  type: EDS
  connect_timeout: 1s
  eds_cluster_config: { eds_config: { ads: {} } }
)" + clusterFields +
      R"(- "@type": type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment
  cluster_name: ")" +
      cluster + "\"\n";
  if (endpoints.empty()) return yaml;
  yaml += "  endpoints:\n  - lb_endpoints:\n";
  for (const std::string& endpoint : endpoints) yaml += endpointYaml(endpoint);
  return yaml;
}

Mesh::Mesh(const Sandbox& sandbox) : sandbox_(sandbox), folder_(sandbox.folder() + "/xds") {
  std::filesystem::create_directory(folder_);
}

void Mesh::serve(const std::string& name, const std::string& text) const {
  const std::string hidden = folder_ + "/." + name;
  std::ofstream(hidden) << text;
  std::filesystem::rename(hidden, folder_ + "/" + name);
}

void Mesh::startControlPlane(const std::vector<std::string>& moreFlags) {
  std::vector<std::string> command = {binary("sockmesh-xds"), "--listen", kXds, folder_};
  command.insert(command.end(), moreFlags.begin(), moreFlags.end());
  controlPlane_ = std::make_unique<Process>(command, sandbox_.folder() + "/xds.log");
}

std::vector<std::string> Mesh::agentConfig(const std::string& yaml) const {
  const std::string file = sandbox_.folder() + "/agent.yaml";
  std::ofstream(file) << yaml;
  return {"--config", file};
}

std::vector<std::string> Mesh::agentCommand() const {
  return {binary("sockmeshd"), "--xds-address", kXds,
          "--node-id",         "test",          "--cgroup-root",
          sandbox_.cgroup(),   "--bpffs-root",  sandbox_.bpffs(),
          "--admin-address",   kAdmin,          "--admin-socket",
          adminSocket()};
}

void Mesh::startAgent(const std::vector<std::string>& moreFlags) {
  auto command = agentCommand();
  command.insert(command.end(), moreFlags.begin(), moreFlags.end());
  agent_ = std::make_unique<Process>(command, sandbox_.folder() + "/agent.log");
}

void Mesh::killAgent() {
  agent_->signal(SIGKILL);
  agent_->wait();
}

bool Mesh::ready() const {
  return eventually([&] { return statusOf("/readyz") == 200; }, std::chrono::seconds(20));
}

std::string Mesh::get(const std::string& path) const {
  auto connection = connectTo(at(kAdmin));
  if (!connection) return "";
  const std::string request = "GET " + path + " HTTP/1.0\r\nHost: localhost\r\n\r\n";
  if (send(connection->get(), request.data(), request.size(), MSG_NOSIGNAL) < 0) return "";
  std::string answer;
  std::array<char, 65536> buffer{};
  for (ssize_t got = 0; (got = recv(connection->get(), buffer.data(), buffer.size(), 0)) > 0;) {
    answer.append(buffer.data(), static_cast<std::size_t>(got));
  }
  return answer;
}

int Mesh::statusOf(const std::string& path) const {
  const std::string answer = get(path);
  int status = 0;
  return std::sscanf(answer.c_str(), "HTTP/%*s %d", &status) == 1 ? status : 0;
}

KernelImage Mesh::image() const {
  auto maps = KernelMaps::open(PinPath(sandbox_.bpffs()).maps(), MapAccess::kReadOnly);
  if (!maps) return {};
  auto read = KernelImage::read(**maps);
  return read ? std::move(read).value() : KernelImage{};
}

}  // namespace sockmesh::test
