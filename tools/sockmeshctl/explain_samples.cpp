// SPDX-License-Identifier: Apache-2.0
// What the kernel really picks, beside what the tables say.
#include <algorithm>
#include <cstring>
#include <map>
#include <set>

#include "explain.h"
#include "lb/share.h"
#include "text.h"

namespace sockmesh::ctl {
namespace {

using Counts = std::map<SocketAddress, std::uint64_t>;

// By address: an endpoint may be in several clusters of the service.
std::map<SocketAddress, double> expectedShares(const LbService& service) {
  std::map<SocketAddress, double> shares;
  for (const auto& [endpoint, share] : shareOf(service).endpoints) shares[endpoint.second] += share;
  return shares;
}

// The version of the service for a socket of the VIP's family.
const LbService& serviceOfSocket(const Explained& explained) {
  const LbService& service = explained.service;
  const bool ipv4Only = explained.key.vip.ip.isV4() && service.ipv4Only;
  return ipv4Only ? *service.ipv4Only : service;
}

std::string errorText(int errnum) {
  return errnum == 0 ? "the kernel does not list the socket" : std::strerror(errnum);
}

double percentOf(std::uint64_t count, std::size_t all) {
  return all == 0 ? 0 : 100.0 * static_cast<double>(count) / static_cast<double>(all);
}

void addRow(const std::string& leadsTo, std::uint64_t count, std::size_t all, double share,
            Table& table, Json& picks) {
  table.rows.push_back({"  " + leadsTo, std::to_string(count), percentText(percentOf(count, all)),
                        percentText(share * 100)});
  picks.push_back({{"address", leadsTo},
                   {"count", count},
                   {"percent", percentOf(count, all)},
                   {"expectedPercent", share * 100}});
}

}  // namespace

void addSamples(const Explained& explained, const Samples& samples, Document& out) {
  if (!samples) {
    out.data["samples"] = {{"problem", samples.error().message()}};
    out.sections.push_back({"Samples: none, " + samples.error().message(), {}});
    return;
  }
  Counts counts;
  std::map<std::string, std::uint64_t> failures;
  for (const SilentConnect& one : *samples) {
    one.leadsTo ? ++counts[*one.leadsTo] : ++failures[errorText(one.errnum)];
  }
  const auto expected = expectedShares(serviceOfSocket(explained));
  for (const auto& [address, share] : expected) counts.try_emplace(address, 0);
  Table table;
  table.columns = {
      {"  LEADS TO"}, {"PICKS", false, true}, {"PICKED", false, true}, {"SHARE", false, true}};
  Json picks = Json::array();
  for (const auto& [address, count] : counts) {
    const auto share = expected.find(address);
    addRow(address.toString(), count, samples->size(), share == expected.end() ? 0 : share->second,
           table, picks);
  }
  Json failed = Json::array();
  for (const auto& [problem, count] : failures) {
    table.rows.push_back({"  (" + problem + ")", std::to_string(count),
                          percentText(percentOf(count, samples->size())), ""});
    failed.push_back({{"problem", problem}, {"count", count}});
  }
  out.data["samples"] = {
      {"problem", ""}, {"count", samples->size()}, {"picks", picks}, {"failures", failed}};
  out.sections.push_back(
      {"Sampled: " + countText(samples->size(), "connect") + " from here, without a packet:",
       table});
}

}  // namespace sockmesh::ctl
