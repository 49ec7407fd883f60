// SPDX-License-Identifier: Apache-2.0
// What istiod was given, as YAML: Kubernetes' and Istio's objects, brought together as services.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <yaml-cpp/yaml.h>

#include "model/assignment.h"

namespace sockmesh {

using Labels = std::map<std::string, std::string>;

// The protocol that istiod assigns to a port: by its protocol field, the first word of its name, or
// its well-known number.
enum class PortKind : std::uint8_t { kTcp, kHttp, kAuto, kUdp };

struct InputEndpoint {
  std::string address;  // an IP address, or a host name where a ServiceEntry resolves by DNS
  std::uint16_t port = 0;
  std::uint32_t weight = 1;
  bool healthy = true;
  Locality locality;
  std::string node;
  Labels labels;
};

struct InputPort {
  std::uint16_t number = 0;
  PortKind kind = PortKind::kTcp;
  std::vector<InputEndpoint> endpoints;
};

enum class Resolution : std::uint8_t { kStatic, kNone, kDns, kDnsRoundRobin };

// A Service or a ServiceEntry.
struct InputService {
  std::string host;
  std::string space;                // namespace
  std::vector<std::string> vips;    // single addresses only; empty where headless
  std::vector<std::string> ranges;  // "10.0.0.0/16"
  bool headless = false;
  Resolution resolution = Resolution::kStatic;
  bool nodeLocal = false;    // internalTrafficPolicy: Local
  bool preferClose = false;  // trafficDistribution
  // istiod repeats the endpoints of a ServiceEntry once for every address.
  std::uint32_t copies = 1;
  std::vector<InputPort> ports;
};

// The client of istiod. It decides priorities and node-local endpoints.
struct IstiodClient {
  std::string node;
  std::string address;
  Locality locality;
};

struct IstiodInputs {
  IstiodClient client;
  std::vector<InputService> services;
  std::vector<YAML::Node> destinationRules;
  std::vector<YAML::Node> virtualServices;
};

// Reads YAML files of objects; `clientPod` names the pod that asked. Throws what yaml-cpp throws,
// and std::runtime_error for a file without the pod.
IstiodInputs readIstiodInputs(const std::vector<std::string>& files, const std::string& clientPod);

// The node at `path` below `from`. A null node if there is none.
YAML::Node nodeAt(const YAML::Node& from, std::initializer_list<const char*> path);
std::string textAt(const YAML::Node& from, std::initializer_list<const char*> path,
                   const std::string& absent = "");

}  // namespace sockmesh
