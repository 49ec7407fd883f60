// SPDX-License-Identifier: Apache-2.0
#include "config/node_identity.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string_view>

#include "model/address.h"

namespace sockmesh {
namespace {

using envoy::config::core::v3::Node;

constexpr std::string_view kSidecar = "sidecar~";

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::vector<std::string> split(std::string_view text, char by) {
  std::vector<std::string> parts;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find(by, at), text.size());
    parts.emplace_back(text.substr(at, end - at));
    at = end + 1;
  }
  return parts;
}

std::string hostName() {
  std::array<char, 256> name{};
  return gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "unknown";
}

// "" for an address that others cannot reach.
std::string addressOf(const ifaddrs& one) {
  if (one.ifa_addr == nullptr || (one.ifa_flags & IFF_LOOPBACK) != 0) return "";
  if ((one.ifa_flags & IFF_UP) == 0) return "";
  if (one.ifa_addr->sa_family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, one.ifa_addr, sizeof(v4));
    std::array<std::uint8_t, 4> bytes{};
    std::memcpy(bytes.data(), &v4.sin_addr, bytes.size());
    return IpAddress::v4(bytes).toString();
  }
  if (one.ifa_addr->sa_family != AF_INET6) return "";
  sockaddr_in6 v6{};
  std::memcpy(&v6, one.ifa_addr, sizeof(v6));
  if (IN6_IS_ADDR_LINKLOCAL(&v6.sin6_addr)) return "";
  std::array<std::uint8_t, 16> bytes{};
  std::memcpy(bytes.data(), &v6.sin6_addr, bytes.size());
  return IpAddress::v6(bytes).toString();
}

// The first of each family, IPv4 first.
std::vector<std::string> interfaceAddresses() {
  ifaddrs* all = nullptr;
  if (getifaddrs(&all) != 0) return {};
  const std::unique_ptr<ifaddrs, decltype(&freeifaddrs)> owner(all, freeifaddrs);
  std::vector<std::string> ips;
  for (const int family : {AF_INET, AF_INET6}) {
    for (const ifaddrs* one = all; one != nullptr; one = one->ifa_next) {
      if (one->ifa_addr == nullptr || one->ifa_addr->sa_family != family) continue;
      if (std::string ip = addressOf(*one); !ip.empty()) {
        ips.push_back(std::move(ip));
        break;
      }
    }
  }
  return ips;
}

std::string join(const std::vector<std::string>& parts) {
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : ",") + part;
  return text;
}

std::string metadataOf(const Node& node, const std::string& key) {
  const auto found = node.metadata().fields().find(key);
  return found == node.metadata().fields().end() ? "" : found->second.string_value();
}

void setDefault(Node& node, const std::string& key, const std::string& value) {
  if (value.empty() || node.metadata().fields().contains(key)) return;
  (*node.mutable_metadata()->mutable_fields())[key].set_string_value(value);
}

void makeId(Node& node, const std::string& domain, const NodeFacts& facts) {
  if (!node.id().empty()) return;
  std::string space = metadataOf(node, "NAMESPACE");
  if (space.empty()) space = facts.podNamespace;
  if (space.empty() || facts.ips.empty()) return node.set_id(facts.hostName);
  const std::string& pod = facts.podName.empty() ? facts.hostName : facts.podName;
  node.set_id(std::string(kSidecar) + facts.ips.front() + "~" + pod + "." + space + "~" + space +
              ".svc." + (domain.empty() ? "cluster.local" : domain));
}

void setLocality(Node& node, const NodeFacts& facts) {
  if (node.has_locality() || (facts.region.empty() && facts.zone.empty())) return;
  node.mutable_locality()->set_region(facts.region);
  node.mutable_locality()->set_zone(facts.zone);
  node.mutable_locality()->set_sub_zone(facts.subZone);
}

void completeMetadata(Node& node, const NodeFacts& facts) {
  setDefault(node, "NAMESPACE", namespaceOf(node));
  setDefault(node, "NODE_NAME", facts.nodeName);
  setDefault(node, "SERVICE_ACCOUNT", facts.serviceAccount);
  setDefault(node, "CLUSTER_ID", facts.clusterId);
  // Addresses of an id that somebody wrote are their business.
  const bool ours = !facts.ips.empty() && split(node.id(), '~')[1] == facts.ips.front();
  if (ours) setDefault(node, "INSTANCE_IPS", join(facts.ips));
  setDefault(node, "DISABLE_HBONE_SEND", "true");
  for (auto& [key, value] : *node.mutable_metadata()->mutable_fields()) {
    if (value.kind_case() != google::protobuf::Value::kBoolValue) continue;
    value.set_string_value(value.bool_value() ? "true" : "false");
  }
}

void check(const Node& node, FieldErrors& errors) {
  const auto parts = split(node.id(), '~');
  bool address = parts.size() == 4 && IpAddress::parse(parts[1]).ok();
  const std::string ips = metadataOf(node, "INSTANCE_IPS");
  if (!ips.empty()) {
    const auto all = split(ips, ',');
    address = parts.size() == 4 && std::ranges::all_of(all, [](const std::string& ip) {
                return IpAddress::parse(ip).ok();
              });
    if (parts.size() == 4 && !address) {
      errors.add("metadata.INSTANCE_IPS", "\"" + ips + "\" is not a list of IP addresses");
      return;
    }
  }
  if (!address) {
    errors.add("id",
               "\"" + node.id() + "\" is not sidecar~IP~POD.NAMESPACE~NAMESPACE.svc.cluster.local");
  }
  if (metadataOf(node, "INTERCEPTION_MODE") == "NONE") {
    errors.add("metadata.INTERCEPTION_MODE",
               "with NONE istiod replaces every VIP by 127.0.0.1: leave it out");
  }
}

}  // namespace

NodeFacts readNodeFacts() {
  NodeFacts facts{.podName = environment("POD_NAME"),
                  .podNamespace = environment("POD_NAMESPACE"),
                  .ips = {},
                  .nodeName = environment("NODE_NAME"),
                  .serviceAccount = environment("SERVICE_ACCOUNT"),
                  .region = environment("NODE_REGION"),
                  .zone = environment("NODE_ZONE"),
                  .subZone = environment("NODE_SUBZONE"),
                  .clusterId = environment("CLUSTER_ID"),
                  .hostName = hostName()};
  // status.podIPs holds status.podIP, and that of the other family.
  for (const char* variable : {"POD_IPS", "POD_IP"}) {
    if (!facts.ips.empty()) break;
    for (const std::string& one : split(environment(variable), ',')) {
      if (IpAddress::parse(one)) facts.ips.push_back(one);
    }
  }
  if (facts.ips.empty()) facts.ips = interfaceAddresses();
  return facts;
}

Node makeNode(const Node& configured, const std::string& clusterDomain, const NodeFacts& facts,
              FieldErrors& errors) {
  Node node = configured;
  makeId(node, clusterDomain, facts);
  setLocality(node, facts);
  if (!node.id().starts_with(kSidecar)) return node;
  const FieldErrors::Scope scope(errors, "node");
  completeMetadata(node, facts);
  check(node, errors);
  return node;
}

std::string namespaceOf(const Node& node) {
  if (!node.id().starts_with(kSidecar)) return "";
  if (const std::string space = metadataOf(node, "NAMESPACE"); !space.empty()) return space;
  const auto parts = split(node.id(), '~');
  return parts.size() == 4 ? parts[3].substr(0, parts[3].find('.')) : "";
}

std::string viewOf(const Node& node) {
  const std::string space = namespaceOf(node);
  return space.empty() ? "node " + node.id() : "namespace " + space;
}

}  // namespace sockmesh
