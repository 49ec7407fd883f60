// SPDX-License-Identifier: Apache-2.0
// The words for the ABI's numbers, in one place: for the CLI, the labels of metrics and the log. A
// number that this build does not know is "unknown".
#pragma once

#include <cstdint>
#include <string_view>

#include "sockmesh_abi.h"

namespace sockmesh {

struct Word {
  std::string_view name;
  std::string_view meaning;  // a sentence for people, without a full stop
};

// Envoy's names: "ROUND_ROBIN". "LEAVE_ALONE", "REFUSE" and "BY_HASH" are sockmesh's own.
std::string_view policyName(std::uint32_t policy);
// "NoEndpoints", and why a connection is refused or left alone.
Word reasonWord(std::uint32_t reason);
// "timed_out": the label `reason` of failed connections.
std::string_view failureName(std::uint32_t failure);
// "reset_by_peer": the label `reason` of closed connections.
std::string_view closeName(std::uint32_t close);
// "lookup_retry": the label `event` of the datapath's own counters.
Word counterWord(std::uint32_t counter);
// Counts of what the programs do every day. The other counters say what should be rare.
bool isRoutine(std::uint32_t counter);
std::string_view connectionStateName(std::uint32_t state);
std::string_view nameKindName(std::uint32_t kind);
// "sidecar": why a pod is not served; the label `reason`.
Word unservedWord(std::uint32_t reason);
std::string_view servedKindName(std::uint32_t kind);
std::string_view protocolName(std::uint32_t protocol);  // "TCP", "UDP"

}  // namespace sockmesh
