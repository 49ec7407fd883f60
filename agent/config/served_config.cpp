// SPDX-License-Identifier: Apache-2.0
#include "config/served_config.h"

#include <algorithm>
#include <utility>

#include "config/kubernetes_config.h"
#include "maps/served_rules.h"

namespace sockmesh {
namespace {

using Served = sockmesh::config::v1::Served;
using Selectors = google::protobuf::RepeatedPtrField<sockmesh::config::v1::PodSelector>;

// Of the sidecars that are known. Each listens on a port for what the pod sends and on one for what
// it receives.
const std::vector<std::vector<std::uint16_t>>& knownSidecars() {
  static const std::vector<std::vector<std::uint16_t>> kKnown = {
      {15001, 15006},  // Istio (sidecar, and ztunnel in the pod's namespace), Kuma
      {4140, 4143},    // Linkerd
      {15001, 20000},  // Consul
  };
  return kKnown;
}

void takeSelector(const sockmesh::config::v1::PodSelector& one, const ServedRule& rule,
                  ServedOptions& out, FieldErrors& errors) {
  if (one.has_netns()) {
    if (one.netns().starts_with('/')) {
      out.namespaces.push_back({rule, one.netns()});
    } else {
      errors.add("netns", "\"" + one.netns() + "\" does not begin with /");
    }
  } else if (one.has_cgroup()) {
    auto glob = PathGlob::parse(one.cgroup());
    if (glob) {
      out.cgroups.push_back({rule, std::move(glob).value()});
    } else {
      errors.add("cgroup", glob.error().message());
    }
  } else if (one.has_pods()) {
    out.pods.push_back(decodePods(one.pods(), rule.field, rule.letIn, errors));
  } else {
    errors.add("a cgroup, a netns or pods are needed");
  }
}

void takeSelectors(const Selectors& selectors, const char* name, bool letIn, ServedOptions& out,
                   FieldErrors& errors) {
  for (int i = 0; i < selectors.size(); ++i) {
    const FieldErrors::Scope item(errors, name, static_cast<std::size_t>(i));
    const ServedRule rule{.field = std::string("served.") + name + "[" + std::to_string(i) + "]",
                          .letIn = letIn};
    takeSelector(selectors[i], rule, out, errors);
  }
}

std::vector<std::uint16_t> takePorts(const sockmesh::config::v1::Sidecar& proto,
                                     FieldErrors& errors) {
  std::vector<std::uint16_t> ports;
  for (const std::uint32_t port : proto.ports()) {
    if (port == 0 || port > UINT16_MAX) errors.add("ports", "must be between 1 and 65535");
    ports.push_back(static_cast<std::uint16_t>(port));
  }
  if (ports.empty() || ports.size() > kSidecarPorts) {
    errors.add("ports", "must be 1 to " + std::to_string(kSidecarPorts) + " ports");
    ports.clear();
  }
  return ports;
}

void takeSidecars(const Served& proto, ServedOptions& out, FieldErrors& errors) {
  if (static_cast<std::size_t>(proto.sidecars_size()) > kMaxSidecars) {
    errors.add("sidecars", "has more than " + std::to_string(kMaxSidecars) + " entries");
    return;
  }
  out.sidecars = knownSidecars();
  if (proto.sidecars_size() > 0) out.sidecars.clear();
  for (int i = 0; i < proto.sidecars_size(); ++i) {
    const FieldErrors::Scope item(errors, "sidecars", static_cast<std::size_t>(i));
    out.sidecars.push_back(takePorts(proto.sidecars(i), errors));
  }
  if (proto.serve_sidecars()) out.sidecars.clear();
}

}  // namespace

ServedOptions decodeServed(const sockmesh::config::v1::AgentConfig& proto, FieldErrors& errors) {
  const FieldErrors::Scope scope(errors, "served");
  const Served& served = proto.served();
  ServedOptions out;
  out.byDefault = served.by_default() == Served::ALL;
  takeSelectors(served.leave_out(), "leave_out", false, out, errors);
  takeSelectors(served.let_in(), "let_in", true, out, errors);
  takeSidecars(served, out, errors);
  return out;
}

}  // namespace sockmesh
