// SPDX-License-Identifier: Apache-2.0
// What a hash policy chooses for a client's address.
#include <array>
#include <cstdio>

#include "explain.h"
#include "lb/abi_names.h"
#include "lb/hash.h"
#include "lb/share.h"
#include "text.h"

namespace sockmesh::ctl {
namespace {

std::string hashText(std::uint64_t hash) {
  std::array<char, 24> text{};
  std::snprintf(text.data(), text.size(), "0x%016llx", static_cast<unsigned long long>(hash));
  return text.data();
}

// The text in place of an endpoint if the group does not choose by hash.
std::string otherwise(const LbGroup& group) {
  if (group.policy == SM_POLICY_REFUSE) return "refused";
  if (group.policy == SM_POLICY_LEAVE_ALONE) return "left alone";
  return "any of " + std::to_string(group.hosts.size());
}

std::optional<double> ejectedOf(const NodeView& view, const HashChoice& choice,
                                const LbGroup& group) {
  if (choice.endpoint == nullptr) return std::nullopt;
  for (const auto& [id, endpoint] : view.image.endpoints) {
    if (endpoint.endpoint.address != *choice.endpoint || endpoint.cluster != group.cluster)
      continue;
    return ejectedSeconds(view, id);
  }
  return std::nullopt;
}

Json choiceJson(const HashChoice& choice, const LbGroup& group,
                const std::optional<double>& ejected) {
  const bool chosen = choice.endpoint != nullptr;
  return {{"percent", choice.share * 100},
          {"group", choice.group},
          {"policy", policyName(group.policy)},
          {"cluster", group.cluster},
          {"address", chosen ? Json(choice.endpoint->ip.toString()) : Json(nullptr)},
          {"port", chosen ? Json(choice.endpoint->port) : Json(nullptr)},
          {"ejected", ejected.has_value()}};
}

}  // namespace

std::optional<Failure> addSource(const Explained& explained, const IpAddress& source,
                                 Document& out) {
  const std::string address = source.toString();
  if (source.isV4() != explained.key.vip.ip.isV4()) {
    return Failure{kExitUsage, "a client of " + address + " cannot connect to " +
                                   explained.key.vip.toString() + ": the address families differ"};
  }
  // Of an IPv4 client an IPv4 socket, which has choices of its own where not all endpoints have an
  // IPv4 address.
  const bool ipv4Only = source.isV4() && explained.service.ipv4Only;
  const LbService& service = ipv4Only ? *explained.service.ipv4Only : explained.service;
  const std::string client =
      (ipv4Only ? "An IPv4 socket of a client of " : "A client of ") + address;
  const bool matters = (service.flags & SM_DESCRIPTOR_HASH_SOURCE) != 0;
  // As the hook (bpf/select/client_address.h) and Envoy: the address as text, without a port.
  const std::uint64_t hash = xxHash64(address);
  Json choices = Json::array();
  Table table;
  table.columns = {{"  ENDPOINT"}, {"SHARE", false, true}, {"CLUSTER"}, {"POLICY"}, {"EJECTED"}};
  for (const HashChoice& choice : choicesByHash(service, hash)) {
    if (!matters) break;
    const LbGroup& group = *service.groups[choice.group];
    const auto ejected = ejectedOf(explained.view, choice, group);
    table.rows.push_back({"  " + (choice.endpoint ? choice.endpoint->toString() : otherwise(group)),
                          percentText(choice.share * 100), group.cluster,
                          std::string(policyName(group.policy)),
                          ejected ? "for " + secondsText(*ejected) : ""});
    choices.push_back(choiceJson(choice, group, ejected));
  }
  out.data["source"] = {
      {"address", address}, {"hash", hashText(hash)}, {"matters", matters}, {"choices", choices}};
  out.sections.push_back({matters ? client + " (hash " + hashText(hash) + ") gets:"
                                  : client + " gets what all get: no hash policy that looks at its "
                                             "address is in force here",
                          matters ? table : Table{}});
  return std::nullopt;
}

}  // namespace sockmesh::ctl
