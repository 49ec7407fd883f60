// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "agent_json.h"
#include "commands.h"
#include "ejection_summary.h"
#include "inspect/map_memory.h"
#include "lb/abi_names.h"
#include "lb/service_summary.h"
#include "maps/program_names.h"
#include "named_pods.h"
#include "status_agent.h"
#include "status_canary.h"
#include "status_left_alone.h"
#include "status_not_honoured.h"
#include "text.h"

namespace sockmesh::ctl {
namespace {

std::string placeText(const ProgramInfo& program) {
  return program.ours ? "sockmesh" : programText(program);
}

Json programJson(const ProgramInfo& program) {
  return {{"id", program.id}, {"name", program.name}, {"tag", program.tag}, {"ours", program.ours}};
}

std::string orderText(const Attachment& attachment) {
  std::vector<std::string> names;
  for (const ProgramInfo& program : attachment.order) names.push_back(placeText(program));
  return names.size() > 1 ? join(names, " > ") : "";
}

bool isAttached(const Attachment& attachment) {
  return attachment.problem.empty() && (attachment.wholeNode || attachment.cgroupId != 0);
}

void addPrograms(const NodeView& view, Document& out) {
  Table table;
  table.columns = {{"PROGRAM"}, {"STATE"},    {"HOOK"},      {"CGROUP"},
                   {"ORDER"},   {"ID", true}, {"TAG", true}, {"LINK", true}};
  Json programs = Json::array();
  std::size_t attached = 0;
  for (const Attachment& attachment : view.attachments) {
    const bool works = isAttached(attachment);
    attached += works ? 1 : 0;
    const std::string cgroup = attachment.wholeNode ? "(the whole node)"
                               : attachment.cgroupPath.empty() && attachment.cgroupId != 0
                                   ? "id " + std::to_string(attachment.cgroupId)
                                   : attachment.cgroupPath;
    table.rows.push_back({attachment.link, works ? "attached" : attachment.problem, attachment.hook,
                          cgroup, orderText(attachment), std::to_string(attachment.program.id),
                          attachment.program.tag, std::to_string(attachment.linkId)});
    Json order = Json::array();
    for (const ProgramInfo& program : attachment.order) order.push_back(programJson(program));
    programs.push_back({{"name", attachment.link},
                        {"attached", works},
                        {"problem", attachment.problem},
                        {"hook", attachment.hook},
                        {"cgroupId", attachment.cgroupId},
                        {"cgroupPath", attachment.cgroupPath},
                        {"linkId", attachment.linkId},
                        {"program", programJson(attachment.program)},
                        {"order", order}});
  }
  std::string heading = "Programs: " + std::to_string(attached) + " of " +
                        std::to_string(programNames().size()) + " attached";
  if (attached < programNames().size()) out.exitCode = kExitUnavailable;
  if (!view.attachmentsProblem.empty()) heading += " (" + view.attachmentsProblem + ")";
  out.data["programs"] = programs;
  out.data["programsProblem"] = view.attachmentsProblem;
  out.sections.push_back({heading, table});
}

// Services that are not balanced, or that are balanced except for something not honoured, each with
// its reason.
void addServices(const NodeView& view, Document& out) {
  NamedCounts counts = datapathStats(view.image, view.live).services;
  Json byState = Json::object();
  std::vector<std::string> parts;
  for (const auto& [name, count] : counts) {
    byState[std::string(name)] = count;
    if (count > 0) parts.push_back(std::to_string(count) + " " + std::string(name));
  }
  Table table;
  table.columns = {{""}, {""}, {""}, {""}};
  Json notBalanced = Json::array();
  for (const auto& [key, service] : view.image.services) {
    const ServiceSummary summary = summarize(*service.service);
    for (const sm_reason reason : summary.reasons) {
      const Word word = reasonWord(reason);
      const std::string state = serviceStateName(summary.state);
      table.rows.push_back({"  " + key.vip.toString(), service.service->name,
                            state + "(" + std::string(word.name) + ")", std::string(word.meaning)});
      notBalanced.push_back({{"vip", key.vip.toString()},
                             {"service", service.service->name},
                             {"state", state},
                             {"reason", word.name},
                             {"meaning", word.meaning}});
    }
  }
  for (const std::string& line : view.image.broken) table.rows.push_back({"  " + line, "", "", ""});
  out.data["services"] = {{"total", view.image.services.size()},
                          {"byState", byState},
                          {"notBalanced", notBalanced},
                          {"broken", view.image.broken}};
  out.data["services"]["stale"] = isStale(view.live);
  if (isStale(view.live)) {
    out.sections.push_back({"Services are left alone: " + staleText(view.live), {}});
  }
  out.sections.push_back({"Services: " + std::to_string(view.image.services.size()) +
                              (parts.empty() ? "" : " (" + join(parts, ", ") + ")"),
                          table});
}

// What the control plane configured and the kernel's tables are without. Only the agent knows. A
// full map can mean thousands, each with the same reason.
void addNotWritten(const AgentReport& agent, Document& out) {
  constexpr std::size_t kShown = 5;
  if (!agent.status) return;
  const Json writer = child(*agent.status, "writer", Json::value_t::object);
  const std::vector<std::string> pending = strings(writer, "pending");
  if (pending.empty()) return;
  Table table;
  table.columns = {{"", false, false, true}};
  for (std::size_t i = 0; i < std::min(pending.size(), kShown); ++i) {
    table.rows.push_back({"  " + pending[i]});
  }
  if (pending.size() > kShown) {
    table.rows.push_back({"  and " + std::to_string(pending.size() - kShown) +
                          " more (-o json lists them in agent.status.writer.pending)"});
  }
  out.sections.push_back({"Not written: " + std::to_string(pending.size()) +
                              " of what the control plane configured; the agent tries again:",
                          table});
}

void addEndpoints(const NodeView& view, Document& out) {
  std::size_t ejected = 0;
  for (const auto& [id, live] : view.live.endpoints) {
    ejected += isEjected(live.state, view.live.nowNs) ? 1 : 0;
  }
  out.data["endpoints"] = {{"total", view.image.endpoints.size()}, {"ejected", ejected}};
  out.data["clusters"] = view.image.clusterNames.size();
  out.data["connections"] = view.connections.size();
  out.sections.push_back({"Endpoints: " + std::to_string(view.image.endpoints.size()) + " in " +
                              std::to_string(view.image.clusterNames.size()) + " clusters, " +
                              std::to_string(ejected) + " ejected; " +
                              std::to_string(view.connections.size()) + " connections tracked",
                          {}});
}

// Programs that can take the requested callbacks away, because they run later.
std::string behindSockOps(const NodeView& view) {
  std::vector<std::string> names;
  for (const Attachment& attachment : view.attachments) {
    if (attachment.link != "sm_sock_ops") continue;
    for (const ProgramInfo& program : behindOurs(attachment)) {
      names.push_back(programText(program));
    }
  }
  return join(names, ", ");
}

void addCounters(const NodeView& view, Document& out) {
  Table table;
  table.columns = {{""}, {"", false, true}, {""}};
  Json counters = Json::object();
  for (std::uint32_t i = 0; i < SM_COUNTERS; ++i) {
    if (isRoutine(i)) continue;
    const Word word = counterWord(i);
    const std::uint64_t value = view.live.counters[i];
    counters[std::string(word.name)] = value;
    if (value == 0) continue;
    const std::string culprits = i == SM_COUNTER_CALLBACKS_LOST ? behindSockOps(view) : "";
    table.rows.push_back(
        {"  " + std::string(word.name), std::to_string(value),
         std::string(word.meaning) + (culprits.empty() ? "" : "; behind ours: " + culprits)});
  }
  out.data["datapathEvents"] = counters;
  const bool quiet = table.rows.empty();
  out.sections.push_back(
      {quiet ? "Datapath events: none" : "Datapath events:", quiet ? Table{} : table});
}

// What the maps take, by what makes it more.
std::string memoryText(const MapMemory& memory) {
  std::vector<std::string> parts;
  for (const auto& [of, bytes] : memory.shares()) {
    if (bytes > 0) parts.push_back(std::string(of) + " " + bytesText(bytes));
  }
  return parts.empty() ? "" : " (" + join(parts, ", ") + ")";
}

Json memoryJson(const MapMemory& memory) {
  Json json = Json::object();
  for (const auto& [of, bytes] : memory.shares()) json[std::string(of)] = bytes;
  return json;
}

void addMaps(const NodeView& view, Document& out) {
  constexpr double kPressurePercent = 80;
  Table table;
  table.columns = {{""}, {"", false, true}, {""}};
  std::uint64_t sum = 0;
  Json pressure = Json::array();
  for (const MapUsage& map : view.live.maps) {
    sum += map.memoryBytes;
    // Maps with one fixed entry are always "full".
    if (!map.countable || map.capacity <= SM_COUNTERS) continue;
    const double percent =
        100.0 * static_cast<double>(map.entries) / static_cast<double>(map.capacity);
    if (percent < kPressurePercent) continue;
    table.rows.push_back({"  " + map.name, percentText(percent),
                          std::to_string(map.entries) + " of " + std::to_string(map.capacity)});
    pressure.push_back({{"map", map.name}, {"percent", percent}});
  }
  const MapMemory memory = mapMemory(view.live.maps);
  out.data["maps"] = {
      {"memoryBytes", sum}, {"memory", memoryJson(memory)}, {"underPressure", pressure}};
  out.sections.push_back({"Maps: " + bytesText(sum) + memoryText(memory) + ", " +
                              (table.rows.empty() ? "none is nearly full" : "nearly full:"),
                          table.rows.empty() ? Table{} : table});
}

}  // namespace

Outcome status(const NodeView& view, const AgentReport& agent) {
  Document out;
  out.kind = "NodeStatus";
  out.data = Json::object();
  out.data["pinFolder"] = view.pinFolder;
  addAgent(view.globals, agent, out);
  addPodWatch(agent, out);
  addNotHonoured(agent, out);
  addPrograms(view, out);
  addCanaries(view, out);
  addServices(view, out);
  addNotWritten(agent, out);
  addLayerSeven(view, agent, out);
  addUnreachable(view, out);
  addLeftAlone(view, agent, out);
  addEndpoints(view, out);
  addOutlierDetection(view, out);
  addCounters(view, out);
  addMaps(view, out);
  return out;
}

}  // namespace sockmesh::ctl
