// SPDX-License-Identifier: Apache-2.0
#include "lb/abi_names.h"

#include <netinet/in.h>

#include <array>

#include "lb/policy/policy.h"
#include "model/cluster.h"

namespace sockmesh {
namespace {

constexpr std::string_view kUnknown = "unknown";

template <std::size_t N>
std::string_view at(const std::array<std::string_view, N>& names, std::uint32_t index) {
  return index < N ? names[index] : kUnknown;
}

template <std::size_t N>
Word at(const std::array<Word, N>& words, std::uint32_t index) {
  return index < N ? words[index] : Word{kUnknown, "a number that this build does not know"};
}

}  // namespace

std::string_view policyName(std::uint32_t policy) {
  return policyOf(policy).name();
}

Word reasonWord(std::uint32_t reason) {
  constexpr std::array<Word, SM_REASON_LEFT_OUT + 1> kWords = {{
      {"None", "no reason given"},
      {"EndpointsUnknown", "the control plane has not sent the cluster's endpoints yet"},
      {"ClusterUnknown", "the control plane has not sent the cluster yet"},
      {leftAloneName(LeftAloneReason::kTls),
       "the cluster asks for TLS, which a connect() cannot originate"},
      {leftAloneName(LeftAloneReason::kOriginalDst), "the destination is the endpoint"},
      {leftAloneName(LeftAloneReason::kBlackHole), "a cluster without discovery and endpoints"},
      {leftAloneName(LeftAloneReason::kUnsupportedDiscovery),
       "a discovery type or endpoint addresses that a connect() cannot use"},
      {"NoEndpoints", "the cluster has no endpoints"},
      {"NoHealthyEndpoints", "the cluster has endpoints, but none that its policy may use"},
      {"NoSubset", "no subset matches and there is no fallback"},
      {"ClusterAbsent", "the control plane has no such cluster, or none that is valid"},
      {"NoReachableEndpoints", "no endpoint has an address of the socket's family"},
      {"LeftOut", "its listener makes no service of it, although the range of a service has it"},
  }};
  return at(kWords, reason);
}

std::string_view failureName(std::uint32_t failure) {
  constexpr std::array<std::string_view, SM_FAILURES> kNames = {
      "refused", "timed_out", "unreachable", "reset", "local", "abandoned"};
  return at(kNames, failure);
}

std::string_view closeName(std::uint32_t close) {
  constexpr std::array<std::string_view, SM_CLOSES> kNames = {"clean", "reset_by_peer",
                                                              "reset_by_us", "timed_out"};
  return at(kNames, close);
}

Word counterWord(std::uint32_t counter) {
  constexpr std::array<Word, SM_COUNTERS> kWords = {{
      {"lookup_retry", "a lookup met a recycled hash element and started over (harmless)"},
      {"lookup_exhausted", "a lookup met recycled hash elements too often; address left alone"},
      {"conn_overflow", "a full bucket of connection records; a hash took the record"},
      {"conn_lost", "no memory for a connection record; balanced, but its outcome is not counted"},
      {"table_broken", "an index in the tables led nowhere; the address was left alone"},
      {"events_dropped", "the ring of events was full; the sums are not affected"},
      {"family_mismatch", "no endpoint had an address of the socket's family; EAFNOSUPPORT"},
      {"affinity_lost", "no memory for where a client went; its next connection may go elsewhere"},
      {"callbacks_lost", "another sock_ops program took away our callbacks from a connection"},
      {"conn_swept", "records of connections whose socket was gone without a word; ended"},
      {"flows_created", "UDP flows: a socket sent to a VIP for the first time"},
      {"flows_moved",
       "UDP flows that went on to another endpoint, because theirs was not eligible"},
      {"flows_ended", "UDP flows that ended with their socket"},
      {"flows_lost", "no memory for a UDP flow; answers may show the endpoint and not the VIP"},
      {"left_stale", "connects to VIPs that were left alone: older than ads.stale_after"},
  }};
  return at(kWords, counter);
}

bool isRoutine(std::uint32_t counter) {
  return counter == SM_COUNTER_FLOWS_CREATED || counter == SM_COUNTER_FLOWS_MOVED ||
         counter == SM_COUNTER_FLOWS_ENDED;
}

std::string_view connectionStateName(std::uint32_t state) {
  constexpr std::array<std::string_view, SM_CONN_ANSWERED + 1> kNames = {
      "free", "pending", "connecting", "established", "overdue", "datagram", "answered"};
  return at(kNames, state);
}

std::string_view nameKindName(std::uint32_t kind) {
  switch (static_cast<sm_name_kind>(kind)) {
    case SM_NAME_SERVICE:
      return "service";
    case SM_NAME_CLUSTER:
      return "cluster";
    case SM_NAME_LOCALITY:
      return "locality";
  }
  return kUnknown;
}

Word unservedWord(std::uint32_t reason) {
  constexpr std::array<Word, SM_UNSERVED_DEFAULT + 1> kWords = {{
      {"served", "it is served"},
      {"left_out", "a rule of served.leave_out"},
      {"sidecar", "it has a sidecar proxy of its own"},
      {"default", "no rule of served.let_in, and by_default is NONE"},
  }};
  return at(kWords, reason);
}

std::string_view servedKindName(std::uint32_t kind) {
  switch (static_cast<sm_served_kind>(kind)) {
    case SM_SERVED_CGROUP:
      return "cgroup";
    case SM_SERVED_NETNS:
      return "netns";
    case SM_SERVED_SIDECAR:
      return "sidecar";
  }
  return kUnknown;
}

std::string_view protocolName(std::uint32_t protocol) {
  if (protocol == IPPROTO_TCP) return "TCP";
  return protocol == IPPROTO_UDP ? "UDP" : kUnknown;
}

}  // namespace sockmesh
