// SPDX-License-Identifier: Apache-2.0
// What the agent knows of its own work: the control plane's stream and the map writer. Plain
// values. The control thread publishes a new one from time to time. Metrics and admin read it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/shared_map.h"

namespace sockmesh {

struct XdsRejection {
  Nanos at{0};  // CLOCK_REALTIME
  std::string message;
};

// One resource type's subscription.
struct XdsTypeStats {
  std::string type;                   // "CDS", "EDS", "LDS", "RDS", "NDS", "WDS"
  std::string version;                // as the server gave it, last accepted
  std::uint64_t resources = 0;        // held
  std::uint64_t accepted = 0;         // responses answered with ACK
  std::uint64_t rejected = 0;         // responses answered with NACK
  std::uint64_t bytes = 0;            // of all responses, as protobuf
  std::uint64_t awaited = 0;          // names that were asked for and did not come yet
  std::uint64_t held = 0;             // previous versions in force, because the newest one waits
  std::optional<Nanos> lastUpdateAt;  // CLOCK_REALTIME of the last accepted response
  // Resources whose last update was rejected and that keep their last good version, by name.
  std::vector<std::string> rejectedResources;
  std::optional<XdsRejection> lastRejection;
  std::uint64_t expired = 0;     // resources removed because their TTL was over
  bool unnamedRejected = false;  // the last response had a bad resource of an unreadable name
  std::string note;              // why the type is not asked for now; "" where it is
};

struct XdsStats {
  std::string address;   // of the control plane
  std::string protocol;  // spoken, or tried: "delta", "state of the world"
  bool connected = false;
  std::optional<Nanos> changedAt;      // CLOCK_REALTIME when `connected` became what it is
  std::string lastError;               // of the last stream that ended, "" where none did
  std::uint64_t connections = 0;       // streams that were established
  std::optional<Nanos> lastMessageAt;  // CLOCK_REALTIME, of any type
  std::optional<Nanos> snapshotAt;     // CLOCK_REALTIME when what is in force changed last
  // CLOCK_REALTIME when the cache was written that is in force, until the control plane has
  // confirmed or replaced it.
  std::optional<Nanos> staleSince;
  std::string cacheProblem;  // why the cache was not used or cannot be written; ""
  std::string auditLog;      // path of the audit log; "": there is none
  std::string auditProblem;  // why the last line of the audit log could not be written; ""
  // Files with resources that could not be used as they are now, by path, and why.
  std::map<std::string, std::string> fileProblems;
  std::vector<XdsTypeStats> types;
};

// Durations in fixed buckets, cumulative only when collected.
class DurationHistogram {
 public:
  // Upper bounds in seconds, ascending.
  static const std::vector<double>& bounds();

  void observe(double seconds);
  // One more than bounds(). The last one counts larger values.
  const std::vector<std::uint64_t>& counts() const { return counts_; }
  double sumSeconds() const { return sumSeconds_; }

 private:
  std::vector<std::uint64_t> counts_ = std::vector<std::uint64_t>(bounds().size() + 1);
  double sumSeconds_ = 0;
};

// Services that go on as an earlier agent left them, or as they were before. Cheap to copy.
struct HeldStats {
  std::uint64_t services = 0;
  // How many of them wait for each cluster, for its endpoints or its definition, and how many for
  // each listener that was rejected or whose routes have not come.
  SharedMap<std::uint32_t> clusters;
  SharedMap<std::uint32_t> listeners;
  bool operator==(const HeldStats&) const = default;
  // "2 services serve as before: waiting for the endpoints of 1 cluster (a)"; "" where there are
  // none.
  std::string text() const;
};

struct WriterStats {
  using ByMap = std::vector<std::pair<std::string, std::uint64_t>>;
  ByMap writes;
  ByMap errors;
  std::vector<std::string> pending;  // what did not fit or was refused, retried; one line each
  DurationHistogram convergence;     // from an accepted response to its last map write
  std::optional<Nanos> lastWriteAt;  // CLOCK_REALTIME
  HeldStats held;
};

// One of the programs in the kernel.
struct AttachmentStats {
  std::string program;  // "sm_connect4"
  bool attached = false;
  std::string problem;           // why not, and why it could not be attached again
  std::uint64_t lost = 0;        // how often it was found detached
  std::uint64_t reattached = 0;  // and how often it was attached again
  bool operator==(const AttachmentStats&) const = default;
};

// What the control plane configured and a connect() does not do.
struct NotHonouredStats {
  // Clusters behind a service whose hash policy needs a request, with the policy: {"reviews",
  // "header x-user"}.
  SharedMap<std::string> clustersNeedingLayer7;
  // Resources with fields that have no effect, by type ("CDS", "LDS").
  std::vector<std::pair<std::string, std::uint64_t>> byType;
};

// A host name that is asked for.
struct DnsHost {
  std::vector<std::string> clusters;   // whose endpoints have the name, sorted
  std::vector<std::string> addresses;  // in use
  std::string problem;                 // why it brings no address now; "" where it does
  bool stale = false;                  // `addresses` are of an earlier agent, and not answered yet
  bool operator==(const DnsHost&) const = default;
};

// The names of DNS clusters.
struct DnsStats {
  std::uint64_t names = 0;            // that are asked for
  std::uint64_t answered = 0;         // questions
  std::uint64_t failed = 0;           // questions to which nobody knew the answer
  std::optional<Nanos> lastAnswerAt;  // CLOCK_REALTIME
  SharedMap<std::string> problems;    // names that bring no address now, and why
  SharedMap<DnsHost> hosts;           // all names
  std::uint64_t stale = 0;            // of them
  SharedMap<std::string> refused;     // clusters whose last answer exceeds a limit, and which
};

// A pod that a rule of the configuration names by what the API server says of it.
struct NamedPod {
  std::string space;  // the namespace
  std::string name;
  bool letIn = false;  // or left out
  std::string rule;    // "served.leave_out[0]"
  bool operator==(const NamedPod&) const = default;
};

// The watch of this node's pods.
struct PodWatchStats {
  std::string address;             // of the API server
  bool watching = false;           // a list is complete, and changes are heard
  std::optional<Nanos> changedAt;  // CLOCK_REALTIME when `watching` became what it is
  std::optional<Nanos> listedAt;   // CLOCK_REALTIME of the last complete list; nothing: never
  std::optional<Nanos> heardAt;    // CLOCK_REALTIME of the last list, event or bookmark
  std::string lastError;           // why the watch ended last, "" where it never did
  std::uint64_t lists = 0;         // complete lists
  std::uint64_t failures = 0;      // lists and watches that ended with an error
  std::uint64_t pods = 0;          // of this node
  std::uint64_t leftOut = 0;       // of them, by a rule
  std::uint64_t letIn = 0;
  SharedMap<NamedPod> named;  // those that a rule names, by the uid that their cgroup has
};

struct AgentStats {
  XdsStats xds;
  DnsStats dns;
  WriterStats writer;
  std::vector<AttachmentStats> attachments;     // none before the programs are attached
  std::optional<NotHonouredStats> notHonoured;  // nothing before the first snapshot
  // Settings of outlier detection that cannot work, by cluster.
  SharedMap<std::string> outlierWarnings;
  std::optional<PodWatchStats> podWatch;  // nothing: no rule asks for it
};

}  // namespace sockmesh
