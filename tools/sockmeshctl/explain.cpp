// SPDX-License-Identifier: Apache-2.0
#include "explain.h"

#include <algorithm>
#include <map>
#include <set>

#include "agent_not_honoured.h"
#include "lb/abi_names.h"
#include "lb/policy/policy.h"
#include "lb/service_summary.h"
#include "lb/share.h"
#include "status_left_alone.h"
#include "text.h"

namespace sockmesh::ctl {
namespace {

bool has(const LbService& service, std::uint32_t flag) {
  return (service.flags & flag) != 0;
}

void addLine(Document& out, const std::string& line) {
  out.sections.push_back({line, {}});
}

// ---- what happens to a connect(), in one sentence ----

struct Ending {
  std::string text;
  double share = 0;
};

std::string endingOf(const LbGroup& group) {
  const std::string why(reasonWord(group.reason).meaning);
  if (group.policy == SM_POLICY_REFUSE) {
    const bool family = group.reason == SM_REASON_NO_REACHABLE;
    return std::string("refused with ") + (family ? "EAFNOSUPPORT: " : "ECONNREFUSED: ") + why;
  }
  if (group.policy == SM_POLICY_LEAVE_ALONE)
    return "left alone and goes where it was going: " + why;
  return "";
}

std::string verdictOf(const Explained& explained, std::uint32_t hosts) {
  std::vector<Ending> endings = {
      {"rewritten to " +
           (hosts == 1 ? "one endpoint" : "one of " + std::to_string(hosts) + " endpoints"),
       0}};
  for (std::size_t i = 0; i < explained.service.groups.size(); ++i) {
    const LbGroup& group = *explained.service.groups[i];
    const double share = explained.groupShares[i];
    if (share <= 0 || policyOf(group.policy).leadsToGroups()) continue;
    const std::string text = endingOf(group);
    auto found = std::find_if(endings.begin(), endings.end(),
                              [&](const Ending& ending) { return ending.text == text; });
    if (text.empty()) found = endings.begin();
    if (found == endings.end()) found = endings.insert(endings.end(), {text, 0});
    found->share += share;
  }
  std::erase_if(endings, [](const Ending& ending) { return ending.share <= 0; });
  if (endings.size() == 1) return "is " + endings.front().text;
  std::vector<std::string> parts;
  for (const Ending& ending : endings) {
    parts.push_back("in " + percentText(ending.share * 100) + " of cases " + ending.text);
  }
  return "is " + join(parts, "; ");
}

// What happens to sockets that reach only one address family, if it differs.
void addSockets(const Explained& explained, Document& out) {
  Json sockets = Json::array();
  const auto add = [&](const std::string& name, const std::shared_ptr<const LbService>& only) {
    if (!only) return;
    const Explained other{explained.view, explained.key,      explained.image,
                          *only,          groupShares(*only), explained.client};
    const std::string verdict = verdictOf(other, summarize(*only).hosts);
    sockets.push_back({{"sockets", name}, {"verdict", verdict}});
    addLine(out, "A connect() of an " + name + " socket " + verdict);
  };
  add("IPv4", explained.service.ipv4Only);
  add("IPv6-only", explained.service.ipv6Only);
  out.data["sockets"] = sockets;
}

// ---- flags ----

bool usesHashes(const LbService& service) {
  return std::any_of(service.groups.begin(), service.groups.end(),
                     [](const auto& group) { return policyOf(group->policy).usesHash(); });
}

void addFlags(const Explained& explained, const AgentReport& agent, Document& out) {
  const LbService& service = explained.service;
  const bool bySource = has(service, SM_DESCRIPTOR_HASH_SOURCE);
  const bool needsLayer7 = has(service, SM_DESCRIPTOR_NEEDS_L7);
  std::vector<std::string> reasons;
  if (needsLayer7) reasons = layerSevenReasons(agent, service.name);
  out.data["hashSourceIp"] = bySource;
  out.data["needsLayer7"] = {{"needed", needsLayer7}, {"reasons", reasons}};
  out.data["automaticTls"] = has(service, SM_DESCRIPTOR_AUTO_TLS);
  out.data["affinitySeconds"] = service.affinitySeconds;
  if (usesHashes(service)) {
    addLine(out, bySource ? "Hash: of the client's address"
                          : "Hash: random, no hash policy names the client's address");
  }
  if (service.affinitySeconds > 0) {
    addLine(out, "Session affinity: a client goes where it went last, until " +
                     std::to_string(service.affinitySeconds) + " s after its last connection");
  }
  if (needsLayer7) {
    addLine(out, "Needs layer 7: " + join(reasons, "; ") + "; connections are balanced without it");
  }
  if (has(service, SM_DESCRIPTOR_AUTO_TLS)) {
    addLine(out,
            "Automatic TLS: a sidecar would speak TLS to some endpoints; connections are rewritten "
            "in plaintext");
  }
}

// ---- what the agent adds ----

void addNotHonoured(const Explained& explained, const AgentReport& agent, Document& out) {
  const auto all = notHonouredOf(agent);
  out.data["notHonoured"] = nullptr;
  if (!all) return;
  std::set<std::string> clusters;
  for (const auto& group : explained.service.groups) clusters.insert(group->cluster);
  Json items = Json::array();
  for (const NotHonouredResource& one : *all) {
    const bool isCluster = one.kind == "Cluster";
    if (isCluster ? !clusters.contains(one.name) : one.name != explained.service.name) continue;
    items.push_back({{"kind", one.kind}, {"name", one.name}, {"fields", one.fields}});
    for (const std::string& field : one.fields) {
      addLine(out, "Not honoured: " + field + (isCluster ? " (cluster " : " (listener ") +
                       one.name + ")");
    }
  }
  out.data["notHonoured"] = items;
}

void addAgentState(const AgentReport& agent, Document& out) {
  out.data["agent"] = {{"address", agent.address},
                       {"reachable", agent.status.has_value()},
                       {"problem", agent.problem}};
  if (agent.status) return;
  addLine(out, "Agent: not reachable at " + agent.address + " (" + agent.problem +
                   "); this is what the kernel does without it");
}

// ---- what spoils it ----

std::vector<std::string> warningsOf(const Explained& explained) {
  std::vector<std::string> warnings;
  const bool v4 = explained.key.vip.ip.isV4();
  const std::string hook = v4 ? "sm_connect4" : "sm_connect6";
  for (const Attachment& attachment : explained.view.attachments) {
    if (attachment.link != hook || (attachment.problem.empty() && attachment.cgroupId != 0))
      continue;
    warnings.push_back(hook + " is not attached (" +
                       (attachment.problem.empty() ? "no cgroup" : attachment.problem) +
                       "): connect() is not touched");
  }
  if (isStale(explained.view.live)) {
    warnings.push_back("all services are left alone: " + staleText(explained.view.live));
  }
  for (const UnreachableEndpoint& one : unreachableEndpoints(explained.view.image)) {
    const auto& groups = explained.service.groups;
    if (std::any_of(groups.begin(), groups.end(),
                    [&](const auto& group) { return group->cluster == one.cluster; })) {
      warnings.push_back(one.text());
    }
  }
  return warnings;
}

// ---- the service ----

std::optional<Failure> brokenTables(const NodeView& view, const SocketAddress& vip) {
  for (std::size_t i = 0; i < view.image.brokenFrontends.size(); ++i) {
    if (!view.image.brokenFrontends[i].vip.contains(Vip(vip)) || i >= view.image.broken.size())
      continue;
    return Failure{
        kExitBadData,
        "the tables of " + vip.toString() +
            " are broken, a connect() that meets the break is left alone: " + view.image.broken[i]};
  }
  return std::nullopt;
}

void addHead(const Explained& explained, const AgentReport& agent, Document& out) {
  const ServiceSummary summary = summarize(explained.service);
  const std::string vip = explained.key.vip.toString();
  const std::string protocol(protocolName(static_cast<std::uint32_t>(explained.key.protocol)));
  const std::string verdict = verdictOf(explained, summary.hosts);
  const auto warnings = warningsOf(explained);
  Json reasons = Json::array();
  for (const sm_reason reason : summary.reasons) {
    const Word word = reasonWord(reason);
    reasons.push_back({{"name", word.name}, {"meaning", word.meaning}});
  }
  out.data = {{"vip", explained.key.vip.hostText()},
              {"port", explained.key.vip.port},
              {"protocol", protocol},
              {"service", explained.service.name},
              {"serviceId", explained.image.id},
              {"state", serviceStateName(summary.state)},
              {"reasons", reasons},
              {"verdict", verdict},
              {"warnings", warnings}};
  addLine(out, "A connect() to " + vip + " " + verdict);
  addSockets(explained, out);
  for (const std::string& warning : warnings) addLine(out, "Warning: " + warning);
  if (const std::string except = leftAloneText(explained.view, agent); !except.empty()) {
    addLine(out, "Except: " + except);
  }
  addLine(out, "Service: " + explained.service.name + " (id " + std::to_string(explained.image.id) +
                   "), " + protocol);
}

}  // namespace

Outcome explain(const NodeView& view, const AgentReport& agent, const AgentRoutes& routes,
                const ExplainQuery& query) {
  const auto found = view.image.serviceAt(query.vip);
  if (found == view.image.services.end()) {
    if (const auto broken = brokenTables(view, query.vip)) return *broken;
    Document out = explainNoService(view, query.vip);
    addRoute(routes, out);
    return out;
  }
  const LbService& service = *found->second.service;
  const Explained explained{view,    found->first,         found->second,
                            service, groupShares(service), query.client};
  Document out;
  out.kind = "Explanation";
  addHead(explained, agent, out);
  addRoute(routes, out);
  addFlags(explained, agent, out);
  addNotHonoured(explained, agent, out);
  addAgentState(agent, out);
  addGroups(explained, out);
  addEndpoints(explained, out);
  out.data["source"] = nullptr;
  if (query.source) {
    if (const auto failure = addSource(explained, *query.source, out)) return *failure;
  }
  out.data["samples"] = nullptr;
  if (query.samples) addSamples(explained, *query.samples, out);
  return out;
}

}  // namespace sockmesh::ctl
