// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <ctime>

#include "admin/json_views.h"
#include "base/version.h"

namespace sockmesh {
namespace {

AdminJson timeOrNull(const std::optional<Nanos>& time) {
  return time ? AdminJson(timeText(*time)) : AdminJson(nullptr);
}

AdminJson typeJson(const XdsTypeStats& type) {
  AdminJson rejection = nullptr;
  if (type.lastRejection) {
    rejection = {{"at", timeText(type.lastRejection->at)},
                 {"message", type.lastRejection->message}};
  }
  return {{"type", type.type},
          {"version", type.version},
          {"resources", type.resources},
          {"accepted", type.accepted},
          {"rejected", type.rejected},
          {"bytes", type.bytes},
          {"awaited", type.awaited},
          {"held", type.held},
          {"lastUpdateAt", timeOrNull(type.lastUpdateAt)},
          {"rejectedResources", type.rejectedResources},
          {"lastRejection", rejection},
          {"note", type.note}};
}

AdminJson xdsJson(const XdsStats& xds) {
  AdminJson types = AdminJson::array();
  for (const XdsTypeStats& type : xds.types) types.push_back(typeJson(type));
  return {{"address", xds.address},
          {"protocol", xds.protocol},
          {"connected", xds.connected},
          {xds.connected ? "connectedAt" : "disconnectedAt", timeOrNull(xds.changedAt)},
          {"lastError", xds.lastError},
          {"connections", xds.connections},
          {"lastMessageAt", timeOrNull(xds.lastMessageAt)},
          {"snapshotAt", timeOrNull(xds.snapshotAt)},
          {"staleSince", timeOrNull(xds.staleSince)},
          {"cacheProblem", xds.cacheProblem},
          {"auditLog", xds.auditLog},
          {"auditProblem", xds.auditProblem},
          {"fileProblems", xds.fileProblems},
          {"types", types}};
}

AdminJson countsJson(const WriterStats::ByMap& counts) {
  AdminJson json = AdminJson::object();
  for (const auto& [map, count] : counts) json[map] = count;
  return json;
}

AdminJson namesJson(const SharedMap<std::uint32_t>& counts) {
  AdminJson json = AdminJson::array();
  for (const auto& [name, services] : counts) json.push_back(name);
  return json;
}

AdminJson textsJson(const SharedMap<std::string>& texts) {
  AdminJson json = AdminJson::object();
  for (const auto& [name, text] : texts) json[name] = text;
  return json;
}

AdminJson heldJson(const HeldStats& held) {
  return {{"services", held.services},
          {"waitingForClusters", namesJson(held.clusters)},
          {"rejectedListeners", namesJson(held.listeners)}};
}

AdminJson writerJson(const WriterStats& writer) {
  return {{"writes", countsJson(writer.writes)},
          {"errors", countsJson(writer.errors)},
          {"pending", writer.pending},
          {"held", heldJson(writer.held)},
          {"lastWriteAt", timeOrNull(writer.lastWriteAt)}};
}

AdminJson dnsJson(const DnsStats& dns) {
  return {{"names", dns.names},
          {"answered", dns.answered},
          {"failed", dns.failed},
          {"lastAnswerAt", timeOrNull(dns.lastAnswerAt)},
          {"problems", textsJson(dns.problems)},
          {"stale", dns.stale},
          {"refused", textsJson(dns.refused)}};
}

AdminJson attachmentsJson(const std::vector<AttachmentStats>& attachments) {
  AdminJson json = AdminJson::array();
  for (const AttachmentStats& one : attachments) {
    json.push_back({{"program", one.program},
                    {"attached", one.attached},
                    {"problem", one.problem},
                    {"lost", one.lost},
                    {"reattached", one.reattached}});
  }
  return json;
}

AdminJson podWatchJson(const PodWatchStats& watch) {
  AdminJson named = AdminJson::array();
  for (const auto& [uid, pod] : watch.named) {
    named.push_back({{"uid", uid},
                     {"namespace", pod.space},
                     {"name", pod.name},
                     {"decision", pod.letIn ? "let_in" : "left_out"},
                     {"rule", pod.rule}});
  }
  return {{"address", watch.address},
          {"watching", watch.watching},
          {watch.watching ? "watchingSince" : "lostAt", timeOrNull(watch.changedAt)},
          {"listedAt", timeOrNull(watch.listedAt)},
          {"heardAt", timeOrNull(watch.heardAt)},
          {"lastError", watch.lastError},
          {"lists", watch.lists},
          {"failures", watch.failures},
          {"pods", watch.pods},
          {"leftOut", watch.leftOut},
          {"letIn", watch.letIn},
          {"named", named}};
}

// Before the first snapshot these lists are unknown: null, and not empty.
void addNotHonoured(const AdminState& state, AdminJson& json) {
  const auto snapshot = state.snapshot.load();
  const auto conflicts = state.conflicts.load();
  json["needsLayer7"] = snapshot ? layerSevenJson(*snapshot) : AdminJson(nullptr);
  json["notHonoured"] = snapshot ? notHonouredJson(*snapshot) : AdminJson(nullptr);
  json["unreachableEndpoints"] = snapshot ? unreachableJson(*snapshot) : AdminJson(nullptr);
  json["leftAlone"] = snapshot ? leftAloneJson(snapshot->leftAloneList()) : AdminJson(nullptr);
  json["conflicts"] = conflicts ? leftAloneJson(*conflicts) : AdminJson(nullptr);
}

}  // namespace

std::string timeText(Nanos time) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(time);
  const auto millis = std::chrono::duration_cast<std::chrono::milliseconds>(time - seconds);
  const auto clock = static_cast<std::time_t>(seconds.count());
  std::tm broken{};
  gmtime_r(&clock, &broken);
  std::array<char, 40> text{};
  const std::size_t length = std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%S", &broken);
  std::string fraction = std::to_string(1000 + millis.count()).substr(1);
  return std::string(text.data(), length) + "." + fraction + "Z";
}

std::string dumpJson(const AdminJson& json) {
  return json.dump(2, ' ', false, AdminJson::error_handler_t::replace) + "\n";
}

AdminJson readinessJson(const AdminState& state) {
  const auto readiness = state.readiness.load();
  AdminJson reasons = AdminJson::array();
  AdminJson notes = AdminJson::array();
  if (!readiness) reasons.push_back("starting");
  if (readiness) reasons = readiness->reasons;
  if (readiness) notes = readiness->notes;
  return {{"ready", readiness && readiness->ready}, {"reasons", reasons}, {"notes", notes}};
}

AdminJson versionJson() {
  return {{"version", version()}};
}

AdminJson statusJson(const AdminState& state) {
  const AdminJson readiness = readinessJson(state);
  AdminJson json = {{"schemaVersion", kAdminSchemaVersion},
                    {"kind", "AgentStatus"},
                    {"version", version()},
                    {"nodeId", state.nodeId},
                    {"nodeNamespace", state.nodeNamespace},
                    {"startedAt", timeText(state.startedAt)},
                    {"ready", readiness["ready"]},
                    {"notReadyReasons", readiness["reasons"]},
                    {"notes", readiness["notes"]}};
  const auto stats = state.stats.load();
  json["xds"] = stats ? xdsJson(stats->xds) : AdminJson(nullptr);
  json["dns"] = stats ? dnsJson(stats->dns) : AdminJson(nullptr);
  json["writer"] = stats ? writerJson(stats->writer) : AdminJson(nullptr);
  json["attachments"] = stats ? attachmentsJson(stats->attachments) : AdminJson(nullptr);
  json["outlierWarnings"] = stats ? textsJson(stats->outlierWarnings) : AdminJson(nullptr);
  json["podWatch"] = stats && stats->podWatch ? podWatchJson(*stats->podWatch) : AdminJson(nullptr);
  addNotHonoured(state, json);
  return json;
}

}  // namespace sockmesh
