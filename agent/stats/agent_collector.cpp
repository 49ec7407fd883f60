// SPDX-License-Identifier: Apache-2.0
#include "stats/agent_collector.h"

#include "base/version.h"
#include "stats/families.h"

namespace sockmesh {
namespace {

using Families = std::vector<prometheus::MetricFamily>;

double toSeconds(Nanos time) {
  return std::chrono::duration<double>(time).count();
}

void collectXds(const XdsStats& xds, Families& out) {
  Family updates = counterFamily("sockmesh_xds_updates_total",
                                 "Responses of the control plane, by type and result.");
  Family last = gaugeFamily("sockmesh_xds_last_update_timestamp_seconds",
                            "When the last response of a type was accepted (Unix time).");
  Family rejected =
      gaugeFamily("sockmesh_xds_rejected_resources",
                  "Resources whose last update was rejected; they keep their last good version.");
  Family resources = gaugeFamily("sockmesh_xds_resources", "Resources held, by type.");
  Family expired = counterFamily("sockmesh_xds_expired_resources_total",
                                 "Resources removed because their TTL was over, by type.");
  Family bytes = counterFamily("sockmesh_xds_received_bytes_total",
                               "Bytes of the control plane's responses, by type.");
  Family awaited = gaugeFamily("sockmesh_xds_awaited_resources",
                               "Resources that were asked for and did not come yet, by type.");
  Family held = gaugeFamily("sockmesh_xds_held_resources",
                            "Previous versions in force because the newest one waits, by type.");
  for (const XdsTypeStats& type : xds.types) {
    const Labels labels = {{"type", type.type}};
    bytes.add(labels, static_cast<double>(type.bytes));
    awaited.add(labels, static_cast<double>(type.awaited));
    held.add(labels, static_cast<double>(type.held));
    updates.add({{"type", type.type}, {"result", "accepted"}}, static_cast<double>(type.accepted));
    updates.add({{"type", type.type}, {"result", "rejected"}}, static_cast<double>(type.rejected));
    if (type.lastUpdateAt) last.add(labels, toSeconds(*type.lastUpdateAt));
    rejected.add(labels, static_cast<double>(type.rejectedResources.size()));
    resources.add(labels, static_cast<double>(type.resources));
    expired.add(labels, static_cast<double>(type.expired));
  }
  // Without a control plane there is nothing to be connected to.
  if (!xds.address.empty()) {
    out.push_back(
        gaugeFamily("sockmesh_xds_connected", "1 while a stream to the control plane is up.")
            .add({}, xds.connected ? 1 : 0)
            .take());
  }
  out.push_back(counterFamily("sockmesh_xds_connections_total",
                              "Streams to the control plane that were established.")
                    .add({}, static_cast<double>(xds.connections))
                    .take());
  if (xds.lastMessageAt) {
    out.push_back(gaugeFamily("sockmesh_xds_last_message_timestamp_seconds",
                              "When the last response came, of any type (Unix time).")
                      .add({}, toSeconds(*xds.lastMessageAt))
                      .take());
  }
  if (xds.snapshotAt) {
    out.push_back(gaugeFamily("sockmesh_xds_snapshot_timestamp_seconds",
                              "When the configuration in force changed last (Unix time).")
                      .add({}, toSeconds(*xds.snapshotAt))
                      .take());
  }
  out.push_back(gaugeFamily("sockmesh_xds_rejected_files",
                            "Files with resources that could not be used as they are now; what "
                            "they had before stays in force.")
                    .add({}, static_cast<double>(xds.fileProblems.size()))
                    .take());
  out.push_back(gaugeFamily("sockmesh_xds_stale",
                            "1 while the configuration is that of the cache file, unconfirmed.")
                    .add({}, xds.staleSince ? 1 : 0)
                    .take());
  for (Family* family :
       {&updates, &last, &rejected, &resources, &expired, &bytes, &awaited, &held}) {
    out.push_back(family->take());
  }
}

// Only of an agent with DNS clusters, now or earlier.
void collectDns(const DnsStats& dns, Families& out) {
  if (dns.names == 0 && dns.answered == 0 && dns.failed == 0) return;
  Family total = counterFamily("sockmesh_dns_resolutions_total",
                               "Questions for the names of DNS clusters, by result.");
  total.add({{"result", "answered"}}, static_cast<double>(dns.answered));
  total.add({{"result", "failed"}}, static_cast<double>(dns.failed));
  out.push_back(total.take());
  out.push_back(gaugeFamily("sockmesh_dns_names", "Names of DNS clusters that are asked for.")
                    .add({}, static_cast<double>(dns.names))
                    .take());
  out.push_back(
      gaugeFamily("sockmesh_dns_unresolved_names",
                  "Names of DNS clusters whose last question brought no address; see /status.")
          .add({}, static_cast<double>(dns.problems.size()))
          .take());
  out.push_back(gaugeFamily("sockmesh_dns_stale_names",
                            "Names whose addresses are those that an earlier agent knew.")
                    .add({}, static_cast<double>(dns.stale))
                    .take());
  if (!dns.lastAnswerAt) return;
  out.push_back(gaugeFamily("sockmesh_dns_last_answer_timestamp_seconds",
                            "When a question for a name was answered last (Unix time).")
                    .add({}, toSeconds(*dns.lastAnswerAt))
                    .take());
}

void collectWriter(const WriterStats& writer, Families& out) {
  Family writes = counterFamily("sockmesh_map_writes_total", "Writes to a map by the agent.");
  Family errors =
      counterFamily("sockmesh_map_errors_total", "Writes to a map that failed; they are retried.");
  for (const auto& [map, count] : writer.writes) {
    writes.add({{"map", map}}, static_cast<double>(count));
  }
  for (const auto& [map, count] : writer.errors) {
    errors.add({{"map", map}}, static_cast<double>(count));
  }
  out.push_back(writes.take());
  out.push_back(errors.take());
  out.push_back(gaugeFamily("sockmesh_map_writes_pending",
                            "Services and clusters whose last write failed and is retried.")
                    .add({}, static_cast<double>(writer.pending.size()))
                    .take());
  out.push_back(histogramFamily("sockmesh_convergence_duration_seconds",
                                "Time from an accepted response to its last map write.")
                    .add({}, DurationHistogram::bounds(), writer.convergence.counts(),
                         writer.convergence.sumSeconds())
                    .take());
  out.push_back(gaugeFamily("sockmesh_services_held",
                            "Services that serve as before, until endpoints of their clusters have "
                            "come or timed out.")
                    .add({}, static_cast<double>(writer.held.services))
                    .take());
  if (writer.lastWriteAt) {
    out.push_back(gaugeFamily("sockmesh_map_last_write_timestamp_seconds",
                              "When the agent last wrote to a map (Unix time).")
                      .add({}, toSeconds(*writer.lastWriteAt))
                      .take());
  }
}

void collectAttachments(const std::vector<AttachmentStats>& attachments, Families& out) {
  Family attached = gaugeFamily("sockmesh_datapath_attached",
                                "1 while a program is attached to the cgroup root.");
  Family lost = counterFamily("sockmesh_datapath_attach_lost_total",
                              "How often a program was found detached, by somebody else's hand.");
  Family again = counterFamily("sockmesh_datapath_reattached_total",
                               "How often a program that was detached was attached again.");
  for (const AttachmentStats& one : attachments) {
    const Labels labels = {{"program", one.program}};
    attached.add(labels, one.attached ? 1 : 0);
    lost.add(labels, static_cast<double>(one.lost));
    again.add(labels, static_cast<double>(one.reattached));
  }
  for (Family* family : {&attached, &lost, &again}) out.push_back(family->take());
}

// Only clusters with such a policy have a series. Multiplied with
// sockmesh_connections_selected_total on (cluster), it says how many connections lack the
// configured affinity.
void collectNotHonoured(const NotHonouredStats& counts, Families& out) {
  Family layer7 = gaugeFamily(
      "sockmesh_cluster_needs_layer7",
      "1 for a cluster whose hash policy needs a request (header, cookie): its connections are "
      "balanced without it.");
  for (const auto& [cluster, hashPolicy] : counts.clustersNeedingLayer7) {
    layer7.add({{"cluster", cluster}, {"hash_policy", hashPolicy}}, 1);
  }
  Family notHonoured =
      gaugeFamily("sockmesh_xds_not_honoured_resources",
                  "Resources with fields that have no effect at connect(), by type; see /status.");
  for (const auto& [type, count] : counts.byType) {
    notHonoured.add({{"type", type}}, static_cast<double>(count));
  }
  out.push_back(layer7.take());
  out.push_back(notHonoured.take());
}

// Without rules by pods there is no watch, and no series.
void collectPodWatch(const PodWatchStats& watch, Families& out) {
  const auto add = [&out](Family family, double value) {
    out.push_back(family.add({}, value).take());
  };
  add(gaugeFamily("sockmesh_pod_watch_up",
                  "1 while the API server tells of changes of this node's pods."),
      watch.watching ? 1 : 0);
  add(counterFamily("sockmesh_pod_watch_lists_total",
                    "Complete lists of this node's pods that the API server gave."),
      static_cast<double>(watch.lists));
  add(counterFamily("sockmesh_pod_watch_failures_total",
                    "Lists and watches of this node's pods that ended with an error."),
      static_cast<double>(watch.failures));
  if (watch.heardAt) {
    add(gaugeFamily("sockmesh_pod_watch_last_event_timestamp_seconds",
                    "When the API server last said something of this node's pods (Unix time)."),
        toSeconds(*watch.heardAt));
  }
  Family pods = gaugeFamily("sockmesh_pod_watch_pods",
                            "Pods of this node by what the rules by pods say of them.");
  pods.add({{"decision", "left_out"}}, static_cast<double>(watch.leftOut));
  pods.add({{"decision", "let_in"}}, static_cast<double>(watch.letIn));
  pods.add({{"decision", "none"}}, static_cast<double>(watch.pods - watch.leftOut - watch.letIn));
  out.push_back(pods.take());
}

void collectTurns(const TurnTimes& turns, Families& out) {
  std::vector<double> bounds;
  for (const Nanos bound : TurnTimes::kBounds) bounds.push_back(toSeconds(bound));
  out.push_back(
      histogramFamily("sockmesh_loop_turn_duration_seconds",
                      "How long the control loop was busy at a time. Timers wait that long.")
          .add({}, bounds, turns.counts(), toSeconds(turns.sum()))
          .take());
  out.push_back(gaugeFamily("sockmesh_loop_turn_longest_seconds",
                            "The longest time that the control loop was busy, since the start.")
                    .add({}, toSeconds(turns.longest()))
                    .take());
}

}  // namespace

std::vector<prometheus::MetricFamily> AgentCollector::Collect() const {
  Families out;
  out.push_back(gaugeFamily("sockmesh_build_info", "1, with the agent's version as label.")
                    .add({{"version", version()}}, 1)
                    .take());
  collectTurns(turns_, out);
  const std::shared_ptr<const AgentStats> stats = source_();
  if (!stats) return out;
  collectXds(stats->xds, out);
  collectDns(stats->dns, out);
  collectWriter(stats->writer, out);
  collectAttachments(stats->attachments, out);
  if (stats->notHonoured) collectNotHonoured(*stats->notHonoured, out);
  if (stats->podWatch) collectPodWatch(*stats->podWatch, out);
  return out;
}

}  // namespace sockmesh
