// SPDX-License-Identifier: Apache-2.0
#include "support/istiod_inputs.h"

#include <algorithm>
#include <set>
#include <stdexcept>

namespace sockmesh {

namespace {

constexpr const char* kDomain = ".svc.cluster.local";

struct Pod {
  std::string node;
  std::string address;
  Labels labels;
};

// "namespace/name" of an object.
std::string nameOf(const YAML::Node& object) {
  return textAt(object, {"metadata", "namespace"}, "default") + "/" +
         textAt(object, {"metadata", "name"});
}

Labels labelsAt(const YAML::Node& labels) {
  Labels read;
  for (const auto& label : labels)
    read[label.first.as<std::string>()] = label.second.as<std::string>();
  return read;
}

// "region/zone/subzone"
Locality parseLocality(const std::string& text) {
  Locality locality;
  const auto first = text.find('/');
  const auto second = first == std::string::npos ? first : text.find('/', first + 1);
  locality.region = text.substr(0, first);
  if (first != std::string::npos) locality.zone = text.substr(first + 1, second - first - 1);
  if (second != std::string::npos) locality.subZone = text.substr(second + 1);
  return locality;
}

std::string firstWord(std::string name) {
  std::transform(name.begin(), name.end(), name.begin(), ::tolower);
  return name.substr(0, name.find('-'));
}

PortKind kindOf(const std::string& transport, const std::string& name, std::uint16_t number) {
  static const std::set<std::string> kHttpWords = {"http", "http2", "grpc"};
  static const std::set<std::string> kTcpWords = {"tcp", "tls", "https", "mongo", "mysql", "redis"};
  static const std::set<std::uint16_t> kTcpNumbers = {25, 53, 3306, 27017};
  if (transport == "UDP") return PortKind::kUdp;
  const std::string word = firstWord(name);
  if (kHttpWords.contains(word)) return PortKind::kHttp;
  if (kTcpWords.contains(word) || kTcpNumbers.contains(number)) return PortKind::kTcp;
  return PortKind::kAuto;
}

class Reader {
 public:
  explicit Reader(const std::vector<std::string>& files) {
    for (const std::string& file : files) {
      for (const YAML::Node& object : YAML::LoadAllFromFile(file)) {
        byKind_[textAt(object, {"kind"})].push_back(object);
      }
    }
  }

  IstiodInputs read(const std::string& clientPod) {
    readNodesAndPods();
    IstiodInputs inputs;
    for (const auto& [name, pod] : pods_) {
      if (name.substr(name.find('/') + 1) != clientPod) continue;
      inputs.client = {pod.node, pod.address, nodes_[pod.node]};
    }
    if (inputs.client.address.empty()) throw std::runtime_error("no pod " + clientPod);
    for (const YAML::Node& object : byKind_["Service"]) inputs.services.push_back(service(object));
    for (const YAML::Node& object : byKind_["ServiceEntry"]) {
      for (const YAML::Node& host : nodeAt(object, {"spec", "hosts"})) {
        inputs.services.push_back(serviceEntry(object, host.as<std::string>()));
      }
    }
    inputs.destinationRules = byKind_["DestinationRule"];
    inputs.virtualServices = byKind_["VirtualService"];
    return inputs;
  }

 private:
  void readNodesAndPods() {
    for (const YAML::Node& object : byKind_["Node"]) {
      const YAML::Node labels = nodeAt(object, {"metadata", "labels"});
      nodes_[textAt(object, {"metadata", "name"})] = {
          textAt(labels, {"topology.kubernetes.io/region"}),
          textAt(labels, {"topology.kubernetes.io/zone"}),
          textAt(labels, {"topology.istio.io/subzone"})};
    }
    for (const YAML::Node& object : byKind_["Pod"]) {
      pods_[nameOf(object)] = {textAt(object, {"spec", "nodeName"}),
                               textAt(object, {"status", "podIP"}),
                               labelsAt(nodeAt(object, {"metadata", "labels"}))};
    }
  }

  InputService service(const YAML::Node& object) {
    InputService read;
    read.space = textAt(object, {"metadata", "namespace"}, "default");
    read.host = textAt(object, {"metadata", "name"}) + "." + read.space + kDomain;
    const YAML::Node spec = nodeAt(object, {"spec"});
    read.headless = textAt(spec, {"clusterIP"}) == "None";
    read.resolution = read.headless ? Resolution::kNone : Resolution::kStatic;
    read.nodeLocal = textAt(spec, {"internalTrafficPolicy"}) == "Local";
    read.preferClose = !textAt(spec, {"trafficDistribution"}).empty();
    if (!read.headless) {
      for (const YAML::Node& ip : nodeAt(spec, {"clusterIPs"})) {
        read.vips.push_back(ip.as<std::string>());
      }
    }
    for (const YAML::Node& port : nodeAt(spec, {"ports"})) {
      const std::string name = textAt(port, {"name"});
      InputPort one;
      one.number = nodeAt(port, {"port"}).as<std::uint16_t>();
      one.kind = kindOf(textAt(port, {"protocol"}, "TCP"), textAt(port, {"appProtocol"}, name),
                        one.number);
      one.endpoints = sliceEndpoints(nameOf(object), name);
      read.ports.push_back(std::move(one));
    }
    return read;
  }

  // The endpoints of a service's port of this name, in all its EndpointSlices.
  std::vector<InputEndpoint> sliceEndpoints(const std::string& service, const std::string& port) {
    std::vector<InputEndpoint> found;
    for (const YAML::Node& slice : byKind_["EndpointSlice"]) {
      const std::string owner = textAt(slice, {"metadata", "namespace"}, "default") + "/" +
                                textAt(slice, {"metadata", "labels", "kubernetes.io/service-name"});
      if (owner != service) continue;
      for (const YAML::Node& slicePort : nodeAt(slice, {"ports"})) {
        if (textAt(slicePort, {"name"}) != port) continue;
        for (const YAML::Node& one : nodeAt(slice, {"endpoints"})) {
          addSliceEndpoint(one, nodeAt(slicePort, {"port"}).as<std::uint16_t>(), found);
        }
      }
    }
    return found;
  }

  void addSliceEndpoint(const YAML::Node& proto, std::uint16_t port,
                        std::vector<InputEndpoint>& into) {
    const bool ready = textAt(proto, {"conditions", "ready"}, "true") == "true";
    if (!ready && textAt(proto, {"conditions", "terminating"}) == "true") return;
    const Pod pod = pods_[textAt(proto, {"targetRef", "namespace"}, "default") + "/" +
                          textAt(proto, {"targetRef", "name"})];
    for (const YAML::Node& address : nodeAt(proto, {"addresses"})) {
      InputEndpoint one;
      one.address = address.as<std::string>();
      one.port = port;
      one.healthy = ready;
      one.node = textAt(proto, {"nodeName"}, pod.node);
      one.locality = nodes_[one.node];
      one.labels = pod.labels;
      into.push_back(std::move(one));
    }
  }

  InputService serviceEntry(const YAML::Node& object, const std::string& host) {
    static const std::map<std::string, Resolution> kResolutions = {
        {"STATIC", Resolution::kStatic},
        {"NONE", Resolution::kNone},
        {"DNS", Resolution::kDns},
        {"DNS_ROUND_ROBIN", Resolution::kDnsRoundRobin}};
    InputService read;
    read.host = host;
    read.space = textAt(object, {"metadata", "namespace"}, "default");
    const YAML::Node spec = nodeAt(object, {"spec"});
    read.resolution = kResolutions.at(textAt(spec, {"resolution"}, "NONE"));
    for (const YAML::Node& address : nodeAt(spec, {"addresses"})) {
      const auto text = address.as<std::string>();
      (text.find('/') == std::string::npos ? read.vips : read.ranges).push_back(text);
    }
    read.copies = std::max<std::uint32_t>(1, static_cast<std::uint32_t>(read.vips.size()));
    for (const YAML::Node& port : nodeAt(spec, {"ports"})) {
      InputPort one;
      one.number = nodeAt(port, {"number"}).as<std::uint16_t>();
      const std::string protocol = textAt(port, {"protocol"});
      one.kind = kindOf(protocol, protocol, one.number);
      for (const YAML::Node& endpoint : nodeAt(spec, {"endpoints"})) {
        one.endpoints.push_back(entryEndpoint(endpoint, port));
      }
      read.ports.push_back(std::move(one));
    }
    return read;
  }

  // An endpoint's own port of the same name comes before the port's targetPort, then its number.
  static InputEndpoint entryEndpoint(const YAML::Node& endpoint, const YAML::Node& port) {
    const std::string number = textAt(port, {"targetPort"}, textAt(port, {"number"}));
    const std::string name = textAt(port, {"name"});
    InputEndpoint one;
    one.address = textAt(endpoint, {"address"});
    one.port =
        static_cast<std::uint16_t>(std::stoul(textAt(endpoint, {"ports", name.c_str()}, number)));
    one.weight = static_cast<std::uint32_t>(std::stoul(textAt(endpoint, {"weight"}, "1")));
    one.locality = parseLocality(textAt(endpoint, {"locality"}));
    one.labels = labelsAt(nodeAt(endpoint, {"labels"}));
    return one;
  }

  std::map<std::string, std::vector<YAML::Node>> byKind_;
  std::map<std::string, Locality> nodes_;
  std::map<std::string, Pod> pods_;  // by namespace/name
};

}  // namespace

YAML::Node nodeAt(const YAML::Node& from, std::initializer_list<const char*> path) {
  YAML::Node node = from;
  for (const char* key : path) {
    if (!node.IsMap()) return {};
    const YAML::Node next = static_cast<const YAML::Node&>(node)[key];
    if (!next.IsDefined()) return {};
    node.reset(next);
  }
  return node;
}

std::string textAt(const YAML::Node& from, std::initializer_list<const char*> path,
                   const std::string& absent) {
  const YAML::Node node = nodeAt(from, path);
  return node.IsScalar() ? node.as<std::string>() : absent;
}

IstiodInputs readIstiodInputs(const std::vector<std::string>& files, const std::string& clientPod) {
  return Reader(files).read(clientPod);
}

}  // namespace sockmesh
