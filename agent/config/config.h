// SPDX-License-Identifier: Apache-2.0
// The agent's settings: defaults, then the file, then flags.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ads/ads_channel.h"
#include "base/defaults.h"
#include "base/result.h"
#include "config/dns_config.h"
#include "datapath/datapath.h"
#include "envoy/config/core/v3/core.pb.h"
#include "kube/pod_watch.h"
#include "lb/compiler.h"
#include "model/address.h"
#include "model/assignment.h"
#include "served/served_options.h"
#include "sockmesh/config/v1/config.pb.h"
#include "sources/file_source.h"
#include "sources/udp_services.h"
#include "store/audit_log.h"

namespace sockmesh {

// What the command line says. An absent flag leaves the file's value.
struct Flags {
  std::string configFile;
  std::optional<std::string> xdsAddress;
  std::optional<std::string> nodeId;
  std::optional<std::string> cgroupRoot;
  std::optional<std::string> bpffsRoot;
  std::optional<std::string> adminAddress;
  std::optional<std::string> adminSocket;
  std::optional<std::string> logLevel;
  bool cleanup = false;
};

struct Config {
  envoy::config::core::v3::Node node;  // whole, see config/node_identity.h
  AdsChannelOptions ads;
  std::vector<std::string> fallbackAddresses;  // HOST:PORT
  std::string cachePath;                       // empty: no cache
  AuditOptions auditLog;
  std::optional<Nanos> staleAfter;  // nothing: never
  sockmesh::config::v1::Ads::Protocol adsProtocol = sockmesh::config::v1::Ads::AUTO;
  FileSource::Options localResources;
  ResourceLimits limits;
  DatapathOptions datapath;
  SocketAddress adminAddress;
  std::string adminSocket;                     // empty: none
  bool adminSocketIsGiven = false;             // and not the default
  std::vector<std::string> adminAllowedHosts;  // in lower case
  std::string logLevel = kDefaultLogLevel;
  bool logJson = false;
  std::string localCluster;
  AffinityOptions affinity;
  bool weightedRandom = false;
  std::vector<UdpService> udpServices;
  ServedOptions served;
  DnsOptions dns;
  bool workloads = false;                   // of istiod's workload API are asked for
  std::optional<PodWatchOptions> podWatch;  // nothing: no rule of `served` asks for it
  std::string ejectionLogPath;              // empty: no file
  bool endpointLabel = false;
  bool istioNames = false;
  std::optional<SocketAddress> metricsAddress;  // none: the admin server alone serves metrics
  bool seccomp = true;

  Locality locality() const;
};

// Reads `flags.configFile` if it is named, applies the flags, looks into the environment for who
// the agent is, and checks the whole. An error names the file, the line and the path of the field.
Result<Config> loadConfig(const Flags& flags);

}  // namespace sockmesh
