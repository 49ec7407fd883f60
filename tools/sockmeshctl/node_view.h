// SPDX-License-Identifier: Apache-2.0
// Everything that commands show of this node, read from the pins at once. Plain values, so that
// commands are tested without a kernel.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "agent_names.h"
#include "canary.h"
#include "document.h"
#include "inspect/attachment_info.h"
#include "inspect/connection_records.h"
#include "inspect/live_state.h"
#include "maps/kernel_image.h"
#include "tcp_sockets.h"

namespace sockmesh::ctl {

struct NodeView {
  std::string pinFolder;  // ".../sockmesh-vN", N the ABI
  KernelImage image;
  LiveState live;
  std::vector<ConnectionRecord> connections;  // in use
  TcpSockets sockets;                         // of the node; read for who shows them
  std::vector<std::pair<sm_affinity_key, sm_affinity>> affinity;
  std::vector<std::uint64_t> frontendFilter;  // words
  std::vector<std::uint32_t> unswept;         // ids of clusters
  std::vector<std::pair<sm_flow_key, sm_flow>> flows;
  std::vector<std::pair<sm_flow_key, sm_flow_source>> flowSources;
  std::vector<std::pair<sm_served_key, sm_served_rule>> served;
  std::map<std::uint64_t, std::string> cgroupPaths;  // by id, of cgroups that are left alone
  sm_globals globals{};
  std::vector<sm_selection> selections;  // the last that were shown to a watcher, by number
  std::vector<Attachment> attachments;
  std::string attachmentsProblem;  // why they are not known
  std::vector<Canary> canaries;    // of status
  AgentNames names;                // of commands that show endpoints or notes of services
};

// How long services have been left alone, and why. Only where isStale(live).
std::string staleText(const LiveState& live);

// Reads what is pinned under `bpffsRoot`. A Failure says in one line why it cannot be read.
std::variant<NodeView, Failure> readNode(const std::string& bpffsRoot);

}  // namespace sockmesh::ctl
