// SPDX-License-Identifier: Apache-2.0
#include "changes.h"

#include <netinet/in.h>

#include <algorithm>
#include <functional>
#include <numeric>
#include <tuple>

#include "base/number_text.h"
#include "lb/abi_names.h"
#include "maps/client_text.h"
#include "text.h"

namespace sockmesh::ctl {
namespace {

// A count that went back was set to 0 in between, with the id of its endpoint.
std::uint64_t difference(std::uint64_t before, std::uint64_t after) {
  return after >= before ? after - before : after;
}

EndpointChange changeOf(const ImageEndpoint& endpoint, const LiveEndpoint& before,
                        const LiveEndpoint& after, const NodeView& views, std::uint64_t beforeNs) {
  EndpointChange change;
  change.cluster = endpoint.cluster;
  change.address = endpoint.endpoint.address;
  change.selected = difference(before.stats.selected, after.stats.selected);
  change.established = difference(before.stats.established, after.stats.established);
  for (std::uint32_t i = 0; i < SM_FAILURES; ++i) {
    const auto count = difference(before.stats.failed[i], after.stats.failed[i]);
    if (count > 0) change.failed.emplace_back(failureName(i), count);
  }
  change.sentBytes = difference(before.stats.sent_bytes, after.stats.sent_bytes);
  change.receivedBytes = difference(before.stats.received_bytes, after.stats.received_bytes);
  change.active = after.state.active;
  const bool was = isEjected(before.state, beforeNs);
  const bool is = isEjected(after.state, views.live.nowNs);
  change.ejected = is && !was;
  change.returned = was && !is;
  return change;
}

bool isQuiet(const EndpointChange& change) {
  return change.selected == 0 && change.established == 0 && change.failed.empty() &&
         change.sentBytes == 0 && change.receivedBytes == 0 && !change.ejected && !change.returned;
}

bool sameEndpoint(const ImageEndpoint& a, const ImageEndpoint& b) {
  return a.cluster == b.cluster && a.endpoint.address == b.endpoint.address;
}

// Whether a connection to the VIP may reach the endpoint.
bool isOf(const NodeView& view, const SocketAddress& vip, const ImageEndpoint& endpoint) {
  const auto met = view.image.serviceAt(vip);
  if (met == view.image.services.end()) return false;
  return std::ranges::any_of(view.image.services, [&](const auto& entry) {
    const auto& [key, service] = entry;
    if (key.vip.isRange() ? key != met->first : key.vip != Vip(vip)) return false;
    return std::ranges::any_of(service.service->groups, [&](const auto& group) {
      return group->cluster == endpoint.cluster &&
             std::ranges::find(group->hosts, endpoint.endpoint.address) != group->hosts.end();
    });
  });
}

bool passes(const NodeView& view, const ChangeFilter& filter, const ImageEndpoint& endpoint) {
  if (!filter.cluster.empty() && filter.cluster != endpoint.cluster) return false;
  return !filter.service || isOf(view, *filter.service, endpoint);
}

double secondsBetween(const NodeView& before, const NodeView& after) {
  return static_cast<double>(difference(before.live.nowNs, after.live.nowNs)) / 1e9;
}

Json addressJson(const EndpointChange& change) {
  return {{"cluster", change.cluster},
          {"address", change.address.ip.toString()},
          {"port", change.address.port}};
}

bool tellsOf(const ChangeFilter& filter, const std::string& event) {
  return filter.events.empty() || std::ranges::find(filter.events, event) != filter.events.end();
}

// systemd writes a pod's UID with '_' into the name of its cgroup.
std::string withoutDashes(std::string text) {
  std::ranges::replace(text, '-', '_');
  return text;
}

// Whether the service at `vip` is the one that the filter asks for.
bool isForService(const NodeView& view, const SocketAddress& wanted, const SocketAddress& vip) {
  if (wanted == vip) return true;
  const auto of = view.image.serviceAt(wanted);
  return of != view.image.services.end() && of->first.vip.isRange() &&
         of == view.image.serviceAt(vip);
}

bool passes(const NodeView& view, const ChangeFilter& filter, const sm_selection& one) {
  if (!tellsOf(filter, eventOf(one))) return false;
  if (!filter.cluster.empty() && filter.cluster != clusterOf(view, one)) return false;
  if (!filter.client.empty() && filter.client != clientText(one.client)) return false;
  if (!filter.pod.empty() &&
      withoutDashes(podCgroupOf(view, one)).find(withoutDashes(filter.pod)) == std::string::npos) {
    return false;
  }
  return !filter.service || isForService(view, *filter.service, vipOf(one));
}

// Rows of the monitor.
class Events {
 public:
  Events(std::string time, const ChangeFilter& filter, const WatchedSelections* watched)
      : time_(std::move(time)), filter_(filter), watched_(watched) {
    table_.columns = {{"TIME"}, {"CLUSTER"}, {"ENDPOINT"}, {"EVENT"}, {"COUNT", false, true}};
    if (watched == nullptr) return;
    for (const char* title : {"VIP", "CLIENT", "THREAD"}) table_.columns.push_back({title});
    table_.columns.push_back({"TOOK", false, true});
    for (const char* title : {"POLICY", "BY", "PID", "CGROUP"}) {
      table_.columns.push_back({title, true});
    }
  }
  void add(const EndpointChange& change, const std::string& event, const std::string& reason,
           std::uint64_t count) {
    if (count == 0 || !tellsOf(filter_, event)) return;
    addRow({time_, change.cluster, change.address.toString(), words(event, reason),
            std::to_string(count)});
    Json json = addressJson(change);
    json["event"] = event;
    json["reason"] = reason;
    json["count"] = count;
    items_.push_back(std::move(json));
  }
  void add(const NodeView& view, const sm_selection& one) {
    const std::string time = timeOf(one);
    addRow({time, clusterOf(view, one),
            one.endpoint_id == SM_NONE ? "" : endpointOf(one).toString(),
            words(eventOf(one), reasonOf(one)), "1",
            vipOf(one).toString() + (one.protocol == IPPROTO_UDP ? "/UDP" : ""),
            clientText(one.client), threadOf(one), secondsText(one.took_ns / 1e9),
            std::string(policyName(one.policy)), kindOf(one), std::to_string(one.tgid),
            podCgroupOf(view, one)});
    Json json = {{"at", time}};
    json.update(selectionJson(view, one));
    selections_.push_back(std::move(json));
  }
  Document document() {
    Json data = {{"at", time_}, {"items", items_}};
    std::vector<Section> sections = {{"", table_}};
    if (watched_ != nullptr) {
      data["selections"] = selections_;
      data["sampledOneIn"] = watched_->oneIn;
      data["selectionsLost"] = watched_->lost;
      if (watched_->lost > 0) sections.push_back({lostText(), {}});
    }
    return {"Events", data, sections};
  }

 private:
  static std::string words(const std::string& event, const std::string& reason) {
    return reason.empty() ? event : event + " (" + reason + ")";
  }
  void addRow(std::vector<std::string> row) {
    row.resize(table_.columns.size());
    table_.rows.push_back(std::move(row));
  }
  std::string timeOf(const sm_selection& one) const {
    return utcText(static_cast<std::int64_t>(one.at_ns) + watched_->realMinusMonotonicNs);
  }
  std::string lostText() const {
    return time_ + "   " + std::to_string(watched_->lost) +
           " selections were not shown: they came too fast, --sample shows fewer";
  }

  std::string time_;
  const ChangeFilter& filter_;
  const WatchedSelections* watched_;
  Table table_;
  Json items_ = Json::array();
  Json selections_ = Json::array();
};

// What an endpoint counted, by the second.
struct Rates {
  double selected = 0;
  double established = 0;
  double failed = 0;
  double sentBytes = 0;
  double receivedBytes = 0;
};

Rates ratesOf(const EndpointChange& change, double seconds) {
  const auto rate = [&](std::uint64_t count) {
    return seconds <= 0 ? 0 : static_cast<double>(count) / seconds;
  };
  return {.selected = rate(change.selected),
          .established = rate(change.established),
          .failed = rate(change.failures()),
          .sentBytes = rate(change.sentBytes),
          .receivedBytes = rate(change.receivedBytes)};
}

std::vector<std::string> topRow(const EndpointChange& change, const Rates& rates) {
  return {change.address.toString(),
          change.cluster,
          shortText(rates.selected),
          shortText(rates.established),
          shortText(rates.failed),
          bytesText(static_cast<std::uint64_t>(rates.sentBytes)),
          bytesText(static_cast<std::uint64_t>(rates.receivedBytes)),
          std::to_string(change.active)};
}

Json topJson(const EndpointChange& change, const Rates& rates) {
  Json json = addressJson(change);
  json["selectedPerSecond"] = rates.selected;
  json["establishedPerSecond"] = rates.established;
  json["failedPerSecond"] = rates.failed;
  json["sentBytesPerSecond"] = rates.sentBytes;
  json["receivedBytesPerSecond"] = rates.receivedBytes;
  json["active"] = change.active;
  return json;
}

}  // namespace

std::uint64_t EndpointChange::failures() const {
  return std::accumulate(failed.begin(), failed.end(), std::uint64_t{0},
                         [](std::uint64_t sum, const auto& one) { return sum + one.second; });
}

std::vector<EndpointChange> changesBetween(const NodeView& before, const NodeView& after,
                                           const ChangeFilter& filter) {
  std::vector<EndpointChange> changes;
  for (const auto& [id, endpoint] : after.image.endpoints) {
    const auto now = after.live.endpoints.find(id);
    if (now == after.live.endpoints.end() || !passes(after, filter, endpoint)) continue;
    const auto known = before.image.endpoints.find(id);
    const auto then = before.live.endpoints.find(id);
    const bool same = known != before.image.endpoints.end() &&
                      then != before.live.endpoints.end() && sameEndpoint(known->second, endpoint);
    auto change = changeOf(endpoint, same ? then->second : LiveEndpoint{}, now->second, after,
                           before.live.nowNs);
    if (!isQuiet(change)) changes.push_back(std::move(change));
  }
  std::ranges::sort(changes, [](const auto& a, const auto& b) {
    return std::tie(a.cluster, a.address) < std::tie(b.cluster, b.address);
  });
  return changes;
}

Outcome monitor(const NodeView& before, const NodeView& after, const ChangeFilter& filter,
                const std::string& time, const WatchedSelections* watched) {
  Events events(time, filter, watched);
  if (watched != nullptr) {
    for (const sm_selection& one : watched->selections) {
      if (passes(after, filter, one)) events.add(after, one);
    }
  }
  const bool counted = filter.client.empty() && filter.pod.empty();
  const auto changes =
      counted ? changesBetween(before, after, filter) : std::vector<EndpointChange>();
  for (const EndpointChange& change : changes) {
    events.add(change, "selected", "", change.selected);
    events.add(change, "established", "", change.established);
    for (const auto& [reason, count] : change.failed) {
      events.add(change, "failed", std::string(reason), count);
    }
    events.add(change, "ejected", "", change.ejected ? 1 : 0);
    events.add(change, "returned", "", change.returned ? 1 : 0);
  }
  return events.document();
}

Outcome top(const NodeView& before, const NodeView& after, const ChangeFilter& filter) {
  const double seconds = secondsBetween(before, after);
  auto changes = changesBetween(before, after, filter);
  std::ranges::stable_sort(changes, std::ranges::greater(), &EndpointChange::selected);
  Table table;
  table.columns = {{"ENDPOINT"},
                   {"CLUSTER"},
                   {"SELECTED/S", false, true},
                   {"ESTABLISHED/S", false, true},
                   {"FAILED/S", false, true},
                   {"SENT/S", false, true},
                   {"RECEIVED/S", false, true},
                   {"ACTIVE", false, true}};
  Json items = Json::array();
  for (const EndpointChange& one : changes) {
    const Rates rates = ratesOf(one, seconds);
    table.rows.push_back(topRow(one, rates));
    items.push_back(topJson(one, rates));
  }
  return Document{"Top", {{"seconds", seconds}, {"items", items}}, {{"", table}}};
}

}  // namespace sockmesh::ctl
