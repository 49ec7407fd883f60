// SPDX-License-Identifier: Apache-2.0
#include "config/config.h"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <fstream>
#include <limits>
#include <sstream>
#include <type_traits>

#include "base/defaults.h"
#include "base/log.h"
#include "base/suggestion.h"
#include "config/ads_config.h"
#include "config/kubernetes_config.h"
#include "config/local_resources_config.h"
#include "config/node_identity.h"
#include "config/served_config.h"
#include "config/udp_services_config.h"
#include "decode/field_errors.h"
#include "protojson/foreign_document.h"
#include "protojson/yaml_json.h"

namespace sockmesh {
namespace {

// The limit of Kubernetes' clientIP.timeoutSeconds.
constexpr std::int64_t kLongestAffinitySeconds = 86400;

// What to do if the file is of another kind. "" if the kind is not known.
std::string adviceOn(const std::string& text) {
  using Kind = ForeignDocument::Kind;
  const auto documents = parseDocuments(text);
  if (!documents || documents->empty()) return "";
  const auto foreign = foreignDocument(*documents->front());
  if (!foreign || foreign->kind == Kind::kAgentConfig) return "";
  const std::string is = "; this file is " + foreign->what;
  switch (foreign->kind) {
    case Kind::kBootstrap:
      return is + ": sockmeshd has a configuration of its own, where the control plane is " +
             "ads: {address: HOST:PORT} and node is written as here";
    case Kind::kXdsResource:
    case Kind::kWithoutType:
      return is + ": those come from a control plane, and sockmesh-xds serves a folder of them";
    case Kind::kIstio:
      return is + ": it goes to the Kubernetes API, and istiod tells the agent";
    case Kind::kConfigDump:
    case Kind::kKubernetes:
    case Kind::kAgentConfig:
      break;
  }
  return is + ", not a configuration of sockmeshd";
}

Result<sockmesh::config::v1::AgentConfig> readFile(const std::string& path) {
  sockmesh::config::v1::AgentConfig proto;
  if (path.empty()) return proto;
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  if (!file) return Error::fromErrno(path, errno == 0 ? EIO : errno);
  if (auto parsed = parseYamlOrJson(text.str(), proto); !parsed) {
    return Error(parsed.error().message() + adviceOn(text.str())).in(path);
  }
  return proto;
}

void takeDatapath(const sockmesh::config::v1::Datapath& proto, DatapathOptions& out,
                  FieldErrors& errors) {
  const FieldErrors::Scope scope(errors, "datapath");
  out.cgroupRoot = proto.cgroup_root();
  if (!proto.bpffs_root().empty()) out.bpffsRoot = proto.bpffs_root();
  if (proto.has_max_services()) {
    out.maxServices = proto.max_services().value();
    if (out.maxServices == 0) errors.add("max_services", "must be at least 1");
  }
  if (proto.has_max_connections()) {
    out.maxConnections = proto.max_connections().value();
    if (out.maxConnections == 0 || out.maxConnections > (1U << 30)) {
      errors.add("max_connections", "must be between 1 and 1073741824");
    }
  }
  if (proto.has_max_affinity_clients()) {
    out.maxAffinityClients = proto.max_affinity_clients().value();
    if (out.maxAffinityClients == 0 || out.maxAffinityClients > (1U << 24)) {
      errors.add("max_affinity_clients", "must be between 1 and 16777216");
    }
  }
  if (proto.has_max_udp_flows()) {
    out.maxUdpFlows = proto.max_udp_flows().value();
    if (out.maxUdpFlows == 0 || out.maxUdpFlows > (1U << 24)) {
      errors.add("max_udp_flows", "must be between 1 and 16777216");
    }
  }
}

// Each is at least 1 where it is given.
void takeLimits(const sockmesh::config::v1::Limits& proto, Config& out, FieldErrors& errors) {
  const FieldErrors::Scope scope(errors, "limits");
  const auto take = [&](bool given, std::uint32_t value, std::string_view field, auto& to) {
    if (!given) return;
    if (value == 0 || value > std::numeric_limits<std::int32_t>::max()) {
      return errors.add(field, "must be between 1 and 2147483647");
    }
    to = static_cast<std::remove_reference_t<decltype(to)>>(value);
  };
  take(proto.has_max_resources(), proto.max_resources().value(), "max_resources",
       out.limits.resources);
  take(proto.has_max_endpoints(), proto.max_endpoints().value(), "max_endpoints",
       out.limits.endpoints);
  take(proto.has_max_resource_bytes(), proto.max_resource_bytes().value(), "max_resource_bytes",
       out.limits.resourceBytes);
  take(proto.has_max_response_bytes(), proto.max_response_bytes().value(), "max_response_bytes",
       out.ads.maxResponseBytes);
  take(proto.has_max_nesting(), proto.max_nesting().value(), "max_nesting", out.limits.nesting);
  if (out.limits.nesting > ResourceLimits::kMostNesting) {
    errors.add("max_nesting",
               "must be between 1 and " + std::to_string(ResourceLimits::kMostNesting));
  }
}

std::uint32_t affinitySeconds(const sockmesh::config::v1::SessionAffinity& proto,
                              FieldErrors& errors) {
  if (!proto.has_timeout()) return kDefaultAffinitySeconds;
  const google::protobuf::Duration& timeout = proto.timeout();
  if (timeout.nanos() != 0 || timeout.seconds() < 1 ||
      timeout.seconds() > kLongestAffinitySeconds) {
    errors.add("timeout", "must be whole seconds between 1s and " +
                              std::to_string(kLongestAffinitySeconds) + "s");
    return 0;
  }
  return static_cast<std::uint32_t>(timeout.seconds());
}

void takeAffinity(const sockmesh::config::v1::LoadBalancing& proto, AffinityOptions& out,
                  FieldErrors& errors) {
  using Proto = sockmesh::config::v1::SessionAffinity;
  const FieldErrors::Scope scope(errors, "load_balancing");
  for (int i = 0; i < proto.session_affinity_size(); ++i) {
    const FieldErrors::Scope item(errors, "session_affinity", static_cast<std::size_t>(i));
    const Proto& one = proto.session_affinity(i);
    const std::uint32_t seconds = affinitySeconds(one, errors);
    if (one.target_case() == Proto::kVip) {
      const auto vip = SocketAddress::parse(one.vip());
      if (!vip) {
        errors.add("vip", vip.error().message());
      } else if (!out.byVip.emplace(*vip, seconds).second) {
        errors.add("vip", one.vip() + " is named twice");
      }
    } else if (one.service().empty()) {
      errors.add("a vip or a service is needed");
    } else if (!out.byService.emplace(one.service(), seconds).second) {
      errors.add("service", "\"" + one.service() + "\" is named twice");
    }
  }
}

void takeAuditLog(const sockmesh::config::v1::AuditLog& proto, AuditOptions& out,
                  FieldErrors& errors) {
  const FieldErrors::Scope scope(errors, "audit_log");
  out.path = proto.path();
  if (proto.has_max_bytes()) out.maxBytes = proto.max_bytes().value();
  if (proto.has_max_files()) out.maxFiles = proto.max_files().value();
  if (out.maxBytes < 65536) errors.add("max_bytes", "must be at least 65536");
  if (out.maxFiles < 1 || out.maxFiles > 1000) errors.add("max_files", "must be 1 to 1000");
}

void takeMetrics(const sockmesh::config::v1::Metrics& proto, Config& out, FieldErrors& errors) {
  const FieldErrors::Scope scope(errors, "metrics");
  if (proto.has_endpoint_label()) out.endpointLabel = proto.endpoint_label().value();
  out.istioNames = proto.istio_names();
  if (proto.has_time_one_selection_in()) {
    out.datapath.timeOneSelectionIn = proto.time_one_selection_in().value();
  }
  if (proto.address().empty()) return;
  if (auto address = SocketAddress::parse(proto.address())) {
    out.metricsAddress = *address;
  } else {
    errors.add("address", address.error().message());
  }
}

void takeAdmin(const sockmesh::config::v1::Admin& proto, Config& out, FieldErrors& errors) {
  const FieldErrors::Scope scope(errors, "admin");
  const std::string text = proto.address().empty() ? kDefaultAdminAddress : proto.address();
  if (auto address = SocketAddress::parse(text)) {
    out.adminAddress = *address;
  } else {
    errors.add("address", address.error().message());
  }
  out.adminSocket = proto.socket().empty() ? kDefaultAdminSocket : proto.socket();
  out.adminSocketIsGiven = !proto.socket().empty();
  if (out.adminSocket == kNoAdminSocket) out.adminSocket.clear();
  if (!out.adminSocket.empty() && !out.adminSocket.starts_with('/')) {
    errors.add("socket", "\"" + out.adminSocket + "\" is neither an absolute path nor none");
  }
  for (std::string host : proto.allowed_hosts()) {
    std::ranges::transform(host, host.begin(), [](unsigned char c) { return std::tolower(c); });
    if (host.empty() || host.find_first_of(":/") != std::string::npos) {
      errors.add("allowed_hosts", "\"" + host + "\" is no host name; write it without a port");
    }
    out.adminAllowedHosts.push_back(std::move(host));
  }
}

void applyFlags(const Flags& flags, sockmesh::config::v1::AgentConfig& proto) {
  if (flags.xdsAddress) proto.mutable_ads()->set_address(*flags.xdsAddress);
  if (flags.nodeId) proto.mutable_node()->set_id(*flags.nodeId);
  if (flags.cgroupRoot) proto.mutable_datapath()->set_cgroup_root(*flags.cgroupRoot);
  if (flags.bpffsRoot) proto.mutable_datapath()->set_bpffs_root(*flags.bpffsRoot);
  if (flags.adminAddress) proto.mutable_admin()->set_address(*flags.adminAddress);
  if (flags.adminSocket) proto.mutable_admin()->set_socket(*flags.adminSocket);
  if (flags.logLevel) proto.mutable_logging()->set_level(*flags.logLevel);
}

}  // namespace

Locality Config::locality() const {
  return {node.locality().region(), node.locality().zone(), node.locality().sub_zone()};
}

Result<Config> loadConfig(const Flags& flags) {
  auto read = readFile(flags.configFile);
  if (!read) return read.error();
  sockmesh::config::v1::AgentConfig& proto = *read;
  applyFlags(flags, proto);

  Config config;
  FieldErrors errors;
  config.node = makeNode(proto.node(), proto.ads().cluster_domain(), readNodeFacts(), errors);
  config.adsProtocol = proto.ads().protocol();
  config.ads = takeAds(proto.ads(), config.node, errors);
  config.fallbackAddresses = takeFallbacks(proto.ads(), errors);
  config.cachePath = proto.ads().cache_path();
  config.staleAfter = takeStaleAfter(proto.ads(), errors);
  takeAuditLog(proto.audit_log(), config.auditLog, errors);
  takeLimits(proto.limits(), config, errors);
  config.localResources = takeLocalResources(proto.local_resources(), errors);
  config.localResources.alone = proto.has_local_resources() && config.ads.target.empty();
  if (!flags.cleanup && !config.localResources.alone) checkAdsAddress(config.ads.target, errors);
  takeDatapath(proto.datapath(), config.datapath, errors);
  takeAdmin(proto.admin(), config, errors);
  config.logJson = proto.logging().json();
  if (!proto.logging().level().empty()) config.logLevel = proto.logging().level();
  if (!isLogLevel(config.logLevel)) {
    const FieldErrors::Scope scope(errors, "logging");
    errors.add("level", "\"" + config.logLevel + "\" is not one of " + logLevels() +
                            didYouMean(config.logLevel, kLogLevels));
  }
  config.localCluster = proto.load_balancing().local_cluster();
  config.weightedRandom = proto.load_balancing().weighted_random();
  takeAffinity(proto.load_balancing(), config.affinity, errors);
  config.udpServices = decodeUdpServices(proto, errors);
  config.served = decodeServed(proto, errors);
  config.dns = decodeDnsOptions(proto, errors);
  config.workloads = proto.istio().workloads();
  config.podWatch = decodeKubernetes(proto, config.served.pods, readNodeFacts().nodeName, errors);
  config.ejectionLogPath = proto.outlier_detection().event_log_path();
  takeMetrics(proto.metrics(), config, errors);
  if (proto.hardening().has_seccomp()) config.seccomp = proto.hardening().seccomp().value();
  if (!errors.empty()) {
    return flags.configFile.empty() ? errors.error() : errors.error().in(flags.configFile);
  }
  return config;
}

}  // namespace sockmesh
