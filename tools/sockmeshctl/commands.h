// SPDX-License-Identifier: Apache-2.0
// The commands: each makes a Document of a NodeView. None reads the kernel or prints.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "document.h"
#include "model/address.h"
#include "node_view.h"
#include "probe.h"
#include "silent_connect.h"

namespace sockmesh::ctl {

// Each filter narrows the result. A filter that is absent or empty lets everything pass.
struct ServiceFilter {
  std::optional<IpAddress> vip;
  std::optional<std::uint16_t> port;
  std::string name;  // part of the listener's name
};
Outcome serviceList(const NodeView& view, const ServiceFilter& filter);
// The same of one address, of all its protocols. A Failure if there is no such service.
Outcome serviceGet(const NodeView& view, const SocketAddress& vip);

struct EndpointFilter {
  std::string cluster;
  // The endpoints that its connections may reach. A Failure if there is no such service.
  std::optional<SocketAddress> service;
  bool ejected = false;
};
Outcome endpointList(const NodeView& view, const EndpointFilter& filter);

struct EjectionFilter {
  std::string cluster;    // empty: all
  bool returned = false;  // also endpoints that were ejected once and are back
};
Outcome ejectionList(const NodeView& view, const EjectionFilter& filter);

Outcome mapList(const NodeView& view);
// A Failure if `name` is not a map, or a map that cannot be shown.
Outcome mapDump(const NodeView& view, const std::string& name);

// What the agent's admin server said to GET /status, or why it did not.
struct AgentReport {
  std::string address;
  std::optional<Json> status;
  std::string problem;  // "connection refused"; empty where `status` is set
};
Outcome status(const NodeView& view, const AgentReport& agent);

// What the agent's admin server said to GET /routes, or why it did not.
struct AgentRoutes {
  std::string address;
  std::optional<Json> routes;
  std::string problem;  // empty where `routes` is set
};
struct RouteFilter {
  std::optional<IpAddress> vip;
  std::optional<std::uint16_t> port;
  std::string name;  // part of the service's name
};
// Which listener, filter chain, virtual host and route made each VIP, and what was left out. A
// Failure without the agent: the kernel does not have the routes.
Outcome routeList(const AgentRoutes& agent, const RouteFilter& filter);

// What connects from here led to, or why it cannot be told.
using Samples = Result<std::vector<SilentConnect>>;

struct ExplainQuery {
  SocketAddress vip;
  std::optional<IpAddress> source{};  // a client's
  std::string client{};               // as `ejection list` names it; "": nobody in particular
  std::optional<Samples> samples{};
};
// What happens to a connect() to this address. If it is not a service, what the address is instead,
// with exit code 1.
// `routes` are those of the address alone.
Outcome explain(const NodeView& view, const AgentReport& agent, const AgentRoutes& routes,
                const ExplainQuery& query);

// Where connections to `asked` (HOST:PORT) led. Exit code 1 if one failed, and, with
// `mustBeRewritten`, if one led to the address itself.
Outcome connectReport(const ProbeReport& report, const std::string& asked, bool mustBeRewritten);

// What the admin server said to a request.
struct AgentAnswer {
  std::string place;  // "127.0.0.1:15077", or the path of the Unix socket
  int status = 0;     // of HTTP; 0: no answer
  std::string text;   // the body, or the problem if there is no answer
};
// The level of each scope, as it is now.
Outcome logLevelsOf(const AgentAnswer& answer);

// What verify found, and what became of it.
struct Verification {
  AgentAnswer first;
  // With --repair, where the first answer names differences: what the agent said to POST /repair,
  // and to the question after it.
  std::optional<AgentAnswer> repair;
  std::optional<AgentAnswer> second;
};
// Exit code 79 where control plane, tables and kernel differ in the end. A Failure without an
// answer, or where the agent refuses to repair.
Outcome verification(const Verification& all);
// Whether the answer names differences.
bool hasDifferences(const AgentAnswer& answer);

Outcome versionOf(const AgentReport& agent);

}  // namespace sockmesh::ctl
