// SPDX-License-Identifier: Apache-2.0
#include "config/config.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

namespace sockmesh {
namespace {

Result<Config> load(const std::string& yaml) {
  std::string path = testing::TempDir() + "sockmesh-config-XXXXXX";
  const int fd = mkstemp(path.data());
  close(fd);
  std::ofstream(path) << "ads: {address: 'istiod:15010'}\n" << yaml;
  Flags flags;
  flags.configFile = path;
  auto config = loadConfig(flags);
  unlink(path.c_str());
  return config;
}

std::string errorOf(const std::string& yaml) {
  const auto config = load(yaml);
  return config ? "" : config.error().message();
}

std::string affinity(const std::string& entries) {
  return "load_balancing: {session_affinity: [" + entries + "]}";
}

// The error of a whole file, and of --xds-address.
std::string errorOfFile(const std::string& text, const std::string& xdsAddress = "h:1") {
  const std::string path = testing::TempDir() + "sockmesh-config-" + std::to_string(getpid());
  std::ofstream(path) << text;
  Flags flags;
  flags.configFile = path;
  flags.xdsAddress = xdsAddress;
  const auto config = loadConfig(flags);
  unlink(path.c_str());
  return config ? "" : config.error().message();
}

TEST(ConfigFile, FilesOfOtherKindsAreNamed) {
  const auto says = [](const std::string& text, const std::string& hint) {
    EXPECT_NE(errorOfFile(text).find(hint), std::string::npos) << errorOfFile(text);
  };
  says("node: {id: a}\nadmin: {}\nstatic_resources: {clusters: []}\n",
       "line 3: static_resources: no such field in sockmesh.config.v1.AgentConfig; this file is an "
       "Envoy bootstrap: sockmeshd has a configuration of its own, where the control plane is ads: "
       "{address: HOST:PORT}");
  says("apiVersion: networking.istio.io/v1\nkind: DestinationRule\n",
       "this file is an Istio object (networking.istio.io/v1 DestinationRule): it goes to the "
       "Kubernetes API");
  says("apiVersion: v1\nkind: ConfigMap\n",
       "this file is a Kubernetes object (v1 ConfigMap), not a configuration of sockmeshd");
  says("resources: []\n", "this file is an xDS resource: those come from a control plane");
  EXPECT_EQ(errorOfFile("logging: {levle: info}\n").find("this file is"), std::string::npos);
}

TEST(ConfigFile, TheControlPlanesAddressIsHostAndPort) {
  EXPECT_EQ(errorOfFile("", "istiod.istio-system.svc:15010"), "");
  EXPECT_EQ(errorOfFile("", "[fd00::1]:15010"), "");
  const auto refused = [](const std::string& address, const std::string& why) {
    const std::string error = errorOfFile("", address);
    EXPECT_NE(error.find("ads.address: " + why), std::string::npos) << error;
  };
  refused("http://h:1", R"("http://h:1" is a URL, HOST:PORT is wanted: write "h:1")");
  refused("dns:///h:1", R"("dns:///h:1" is a URL)");
  refused("unix:/run/xds.sock", R"("unix:/run/xds.sock" is not HOST:PORT)");
  refused("h", R"("h" is not HOST:PORT: it has no port)");
  refused("", "the control plane's HOST:PORT is needed");
}

TEST(ConfigFile, DnsServersAreAddressesWithOrWithoutAPort) {
  EXPECT_TRUE(load("")->dns.servers.empty());
  EXPECT_FALSE(load("")->dns.frontends);
  EXPECT_TRUE(load("dns: {frontends: true}\n")->dns.frontends);
  const auto servers =
      load("dns: {servers: [10.96.0.10, '10.0.0.2:5353', 'fd00::1']}\n")->dns.servers;
  ASSERT_EQ(servers.size(), 3U);
  EXPECT_EQ(servers[0].toString(), "10.96.0.10:53");
  EXPECT_EQ(servers[1].toString(), "10.0.0.2:5353");
  EXPECT_EQ(servers[2].toString(), "[fd00::1]:53");
  for (const std::string bad : {"a.example", "10.0.0.1:0", "''"}) {
    EXPECT_NE(errorOf("dns: {servers: [" + bad + "]}\n").find("dns.servers[0]: "),
              std::string::npos);
  }
}

TEST(ConfigFile, IstiosNamesAreOffUnlessAskedFor) {
  EXPECT_FALSE(load("metrics: {endpoint_label: false}\n")->istioNames);
  EXPECT_TRUE(load("metrics: {istio_names: true}\n")->istioNames);
}

TEST(ConfigFile, TheMetricsServerListensOnlyWhereItHasAnAddress) {
  EXPECT_FALSE(load("metrics: {endpoint_label: false}\n")->metricsAddress);
  EXPECT_EQ(load("metrics: {address: '0.0.0.0:15078'}\n")->metricsAddress->toString(),
            "0.0.0.0:15078");
  EXPECT_NE(errorOf("metrics: {address: 'node:15078'}\n").find("metrics.address: "),
            std::string::npos);
}

TEST(ConfigFile, AMisspeltLogLevelIsNamedWithTheRightOne) {
  EXPECT_NE(errorOfFile("logging: {level: wran}\n").find("did you mean warn?"), std::string::npos);
}

// docs/operations.md lists the defaults in a file that can be used as it stands.
TEST(Defaults, AreWhatThePageSays) {
  std::ifstream page("docs/operations.md");
  std::stringstream text;
  text << page.rdbuf();
  const std::string all = text.str();
  const std::size_t begin = all.find("```yaml\n") + 8;
  ASSERT_LT(begin, all.size()) << "run from the root of the repository";
  const std::string path = testing::TempDir() + "sockmesh-page-" + std::to_string(getpid());
  std::ofstream(path) << all.substr(begin, all.find("```", begin) - begin);
  Flags flags;
  flags.configFile = path;
  const auto documented = loadConfig(flags);
  unlink(path.c_str());
  ASSERT_TRUE(documented) << documented.error().message();
  const Config byDefault = load(affinity("{vip: '10.96.0.10:80'}")).value();
  EXPECT_EQ(documented->datapath.maxServices, byDefault.datapath.maxServices);
  EXPECT_EQ(documented->datapath.maxConnections, byDefault.datapath.maxConnections);
  EXPECT_EQ(documented->datapath.maxAffinityClients, byDefault.datapath.maxAffinityClients);
  EXPECT_EQ(documented->datapath.timeOneSelectionIn, byDefault.datapath.timeOneSelectionIn);
  EXPECT_EQ(documented->adminAddress, byDefault.adminAddress);
  EXPECT_EQ(documented->adminSocket, byDefault.adminSocket);
  EXPECT_EQ(documented->adminAllowedHosts, byDefault.adminAllowedHosts);
  EXPECT_EQ(documented->logLevel, byDefault.logLevel);
  EXPECT_EQ(documented->logJson, byDefault.logJson);
  EXPECT_EQ(documented->localCluster, byDefault.localCluster);
  EXPECT_EQ(documented->weightedRandom, byDefault.weightedRandom);
  EXPECT_EQ(documented->served.byDefault, byDefault.served.byDefault);
  EXPECT_EQ(documented->served.sidecars, byDefault.served.sidecars);
  EXPECT_EQ(documented->seccomp, byDefault.seccomp);
  EXPECT_EQ(documented->limits.resources, byDefault.limits.resources);
  EXPECT_EQ(documented->limits.endpoints, byDefault.limits.endpoints);
  EXPECT_EQ(documented->limits.resourceBytes, byDefault.limits.resourceBytes);
  EXPECT_EQ(documented->limits.nesting, byDefault.limits.nesting);
  EXPECT_EQ(documented->workloads, byDefault.workloads);
  EXPECT_EQ(documented->ads.maxResponseBytes, byDefault.ads.maxResponseBytes);
  EXPECT_EQ(documented->auditLog.maxBytes, byDefault.auditLog.maxBytes);
  EXPECT_EQ(documented->auditLog.maxFiles, byDefault.auditLog.maxFiles);
  EXPECT_EQ(documented->endpointLabel, byDefault.endpointLabel);
  const SocketAddress vip = SocketAddress::parse("10.96.0.10:80").value();
  EXPECT_EQ(documented->affinity.secondsOf("", vip), byDefault.affinity.secondsOf("", vip));
}

TEST(Admin, SocketAndHosts) {
  EXPECT_EQ(load("").value().adminSocket, kDefaultAdminSocket);
  EXPECT_EQ(load("admin: {socket: none}").value().adminSocket, "");
  EXPECT_EQ(load("admin: {allowed_hosts: [Node-1.Example]}").value().adminAllowedHosts,
            std::vector<std::string>{"node-1.example"});
  EXPECT_NE(errorOf("admin: {socket: here}").find("admin.socket: \"here\" is neither"),
            std::string::npos);
  EXPECT_NE(errorOf("admin: {allowed_hosts: ['a:1']}").find("admin.allowed_hosts: \"a:1\" is no"),
            std::string::npos);
}

TEST(AuditLog, IsOffWithoutAPathAndItsSizesAreChecked) {
  EXPECT_EQ(load("").value().auditLog.path, "");
  const auto config = load("audit_log: {path: /l, max_bytes: 65536, max_files: 2}");
  ASSERT_TRUE(config) << config.error().message();
  EXPECT_EQ(config->auditLog.path, "/l");
  EXPECT_EQ(config->auditLog.maxBytes, 65536U);
  EXPECT_EQ(config->auditLog.maxFiles, 2U);
  EXPECT_NE(errorOf("audit_log: {max_bytes: 65535}").find("audit_log.max_bytes: must be at least"),
            std::string::npos);
  EXPECT_NE(errorOf("audit_log: {max_files: 0}").find("audit_log.max_files: must be"),
            std::string::npos);
}

TEST(Limits, AreSettings) {
  const auto config = load(
      "limits: {max_resources: 7, max_endpoints: 8, max_resource_bytes: 9, "
      "max_response_bytes: 10, max_nesting: 1000}");
  ASSERT_TRUE(config) << config.error().message();
  EXPECT_EQ(config->limits.resources, 7U);
  EXPECT_EQ(config->limits.endpoints, 8U);
  EXPECT_EQ(config->limits.resourceBytes, 9U);
  EXPECT_EQ(config->ads.maxResponseBytes, 10);
  EXPECT_EQ(config->limits.nesting, 1000);
  EXPECT_NE(errorOf("limits: {max_nesting: 1001}").find("limits.max_nesting: must be between 1"),
            std::string::npos);
  EXPECT_NE(errorOf("limits: {max_endpoints: 0}").find("limits.max_endpoints: must be between 1"),
            std::string::npos);
  EXPECT_NE(errorOf("limits: {max_response_bytes: 2147483648}").find("limits.max_response_bytes: "),
            std::string::npos);
}

TEST(Istio, WorkloadsAreOffUnlessASettingAsksForThem) {
  EXPECT_FALSE(load("").value().workloads);
  EXPECT_TRUE(load("istio: {workloads: true}").value().workloads);
}

TEST(LocalResources, AreReadAndJudgedAtTheStart) {
  const auto config = load(
      "local_resources: {clusters: [{name: a, type: STATIC}], clusters_file: {path: /cds.yaml}}");
  ASSERT_TRUE(config) << config.error().message();
  EXPECT_EQ(config->localResources.statics.size(), 1U);
  EXPECT_EQ(config->localResources.lists.at(0).path, "/cds.yaml");
  EXPECT_FALSE(config->localResources.alone) << "there is an address";
  const auto says = [](const std::string& resources, const std::string& error) {
    const std::string got = errorOf("local_resources: {" + resources + "}");
    EXPECT_NE(got.find("local_resources." + error), std::string::npos) << got;
  };
  says("clusters: [{name: a, type: EDS}]", "clusters[0]: eds_cluster_config: is required");
  says("clusters: [{type: STATIC}]", "clusters[0]");
  says("clusters: [{name: a, type: STATIC}, {name: a, type: STATIC}]",
       "clusters[1].name: \"a\" is there more than once");
  says("listeners: [{name: l, address: {socket_address: {address: x, port_value: 1}}}]",
       "listeners[0]: address.socket_address.address");
  says("listeners_file: {path: relative}", "listeners_file.path: \"relative\" is no absolute path");
}

TEST(LocalResources, NeedNoControlPlane) {
  const std::string resources = "local_resources: {clusters_file: {path: /cds.yaml}}\n";
  EXPECT_EQ(errorOfFile(resources, ""), "");
  EXPECT_NE(errorOfFile("logging: {}\n", "").find("ads.address: the control plane's HOST:PORT"),
            std::string::npos);
}

TEST(WeightedRandom, IsOffUnlessAskedFor) {
  EXPECT_FALSE(load("").value().weightedRandom);
  EXPECT_TRUE(load("load_balancing: {weighted_random: true}").value().weightedRandom);
}

TEST(SessionAffinity, ByVipOrByService) {
  const auto config = load(
      affinity("{vip: '10.96.0.10:80'}, {vip: '[fd00::1]:443', timeout: 60s}, {service: web}") +
      "\ndatapath: {max_affinity_clients: 100}");
  ASSERT_TRUE(config) << config.error().message();
  const AffinityOptions& options = config->affinity;
  const auto at = [](const char* text) { return SocketAddress::parse(text).value(); };
  EXPECT_EQ(options.secondsOf("any", at("10.96.0.10:80")), 10800U);
  EXPECT_EQ(options.secondsOf("any", at("[fd00::1]:443")), 60U);
  EXPECT_EQ(options.secondsOf("web", at("[fd00::1]:443")), 60U) << "the VIP's own word wins";
  EXPECT_EQ(options.secondsOf("web", at("10.96.0.11:80")), 10800U);
  EXPECT_EQ(options.secondsOf("any", at("10.96.0.11:80")), 0U);
  EXPECT_EQ(config->datapath.maxAffinityClients, 100U);
}

TEST(SessionAffinity, WhatIsWrongIsNamed) {
  const auto wrong = [](const std::string& entries, const std::string& says) {
    EXPECT_NE(errorOf(affinity(entries)).find("load_balancing.session_affinity" + says),
              std::string::npos)
        << errorOf(affinity(entries));
  };
  wrong("{timeout: 5s}", "[0]: a vip or a service is needed");
  wrong("{service: a}, {vip: 'here'}", "[1].vip: ");
  wrong("{service: a}, {service: a}", "[1].service: \"a\" is named twice");
  wrong("{vip: '10.0.0.1:80'}, {vip: '10.0.0.1:80'}", "[1].vip: 10.0.0.1:80 is named twice");
  wrong("{service: a, timeout: 0s}", "[0].timeout: must be whole seconds between 1s and 86400s");
  wrong("{service: a, timeout: 1.5s}", "[0].timeout: must be whole seconds");
  wrong("{service: a, timeout: 86401s}", "[0].timeout: must be whole seconds");
}

TEST(Served, TheWholeNodeByDefaultExceptPodsWithASidecar) {
  const ServedOptions served = load("").value().served;
  EXPECT_TRUE(served.byDefault);
  EXPECT_TRUE(served.cgroups.empty());
  EXPECT_TRUE(served.namespaces.empty());
  using Ports = std::vector<std::vector<std::uint16_t>>;
  EXPECT_EQ(served.sidecars, (Ports{{15001, 15006}, {4140, 4143}, {15001, 20000}}));
  EXPECT_TRUE(load("served: {serve_sidecars: true}").value().served.sidecars.empty());
  EXPECT_EQ(load("served: {sidecars: [{ports: [7]}]}").value().served.sidecars, Ports{{7}});
}

TEST(Served, RulesAreByCgroupOrByNamespace) {
  const auto config = load(
      "served: {by_default: NONE, leave_out: [{netns: /run/netns/a*}, {cgroup: '/a/**'}], let_in: "
      "[{cgroup: /b}]}");
  ASSERT_TRUE(config) << config.error().message();
  const ServedOptions& served = config->served;
  EXPECT_FALSE(served.byDefault);
  ASSERT_EQ(served.namespaces.size(), 1U);
  EXPECT_EQ(served.namespaces[0].field, "served.leave_out[0]");
  EXPECT_EQ(served.namespaces[0].pattern, "/run/netns/a*");
  ASSERT_EQ(served.cgroups.size(), 2U);
  EXPECT_FALSE(served.cgroups[0].letIn);
  EXPECT_TRUE(served.cgroups[1].letIn);
  EXPECT_EQ(served.cgroups[1].field, "served.let_in[0]");
}

TEST(Served, WhatIsWrongIsNamed) {
  const auto wrong = [](const std::string& served, const std::string& says) {
    const std::string error = errorOf("served: {" + served + "}");
    EXPECT_NE(error.find("served." + says), std::string::npos) << error;
  };
  wrong("leave_out: [{}]", "leave_out[0]: a cgroup, a netns or pods are needed");
  wrong("let_in: [{cgroup: /a}, {cgroup: b}]", "let_in[1].cgroup: \"b\" does not begin with /");
  wrong("let_in: [{cgroup: /}]", "let_in[0].cgroup: \"/\" names no cgroup");
  wrong("leave_out: [{cgroup: /a/b**}]", "leave_out[0].cgroup: ");
  wrong("leave_out: [{netns: a}]", "leave_out[0].netns: \"a\" does not begin with /");
  wrong("sidecars: [{ports: []}]", "sidecars[0].ports: must be 1 to 4 ports");
  wrong("sidecars: [{ports: [1, 70000]}]", "sidecars[0].ports: must be between 1 and 65535");
}

TEST(ConfigFile, OneSelectionInSoManyIsTimedAndZeroIsNone) {
  const auto timed = [](const std::string& text) {
    return load(text).value().datapath.timeOneSelectionIn;
  };
  EXPECT_EQ(timed("metrics: {time_one_selection_in: 7}"), 7U);
  EXPECT_EQ(timed("metrics: {time_one_selection_in: 0}"), 0U);
  EXPECT_EQ(timed(""), kDefaultTimeOneSelectionIn);
  EXPECT_NE(errorOf("metrics: {time_one_selection_in: -1}").find("time_one_selection_in"),
            std::string::npos);
}

TEST(ConfigFile, UdpServicesNameAVipAClusterAndAPort) {
  const auto config = load(
      "udp_services: [{vip: '10.96.0.10:53', cluster: dns, port: 53}, {vip: '[fd00::a]:53', "
      "cluster: dns}]\ndatapath: {max_udp_flows: 100}");
  ASSERT_TRUE(config) << config.error().message();
  ASSERT_EQ(config->udpServices.size(), 2U);
  EXPECT_EQ(config->udpServices[0].vip.toString(), "10.96.0.10:53");
  EXPECT_EQ(config->udpServices[0].cluster, "dns");
  EXPECT_EQ(config->udpServices[0].port, 53);
  EXPECT_EQ(config->udpServices[1].port, std::nullopt);
  EXPECT_EQ(config->datapath.maxUdpFlows, 100U);
}

TEST(ConfigFile, AWrongUdpServiceIsNamed) {
  const auto says = [](const std::string& entries, const std::string& what) {
    const std::string error = errorOf("udp_services: [" + entries + "]");
    EXPECT_NE(error.find("udp_services" + what), std::string::npos) << error;
  };
  says("{vip: '10.96.0.10:53'}", "[0].cluster: the name of a cluster is needed");
  says("{vip: '10.96.0.10', cluster: dns}", "[0].vip: ");
  says("{vip: '0.0.0.0:53', cluster: dns}", "[0].vip: 0.0.0.0:53 is not the address of a service");
  says("{vip: '10.96.0.10:53', cluster: dns, port: 0}", "[0].port: must be between 1 and 65535");
  says("{vip: '10.96.0.10:53', cluster: dns, port: 99000}", "[0].port: must be between 1");
  says("{vip: '10.96.0.10:53', cluster: a}, {vip: '10.96.0.10:53', cluster: b}",
       "[1].vip: 10.96.0.10:53 is named twice");
}

}  // namespace
}  // namespace sockmesh
