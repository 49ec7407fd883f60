// SPDX-License-Identifier: Apache-2.0
#include "node_fixture.h"

#include <gmock/gmock.h>
#include <netinet/in.h>

#include <cstring>

#include "maps/codec.h"
#include "schema_check.h"
#include "support/schema.h"

namespace sockmesh::ctl::test {
namespace {

constexpr std::uint64_t kNowNs = 1'000'000'000'000;
constexpr std::uint64_t kSecondNs = 1'000'000'000;

SocketAddress at(const std::string& text) {
  return SocketAddress::parse(text).value();
}

std::shared_ptr<CellTable> wordTable(const std::vector<std::uint32_t>& words) {
  auto table = std::make_shared<CellTable>();
  table->cells = encodeHosts(words);
  table->size = static_cast<std::uint32_t>(words.size());
  return table;
}

std::shared_ptr<CellTable> aliasTable(const std::vector<sm_cell>& cells) {
  auto table = std::make_shared<CellTable>();
  table->cells = cells;
  table->size = static_cast<std::uint32_t>(cells.size());
  return table;
}

sm_cell alias(std::uint32_t threshold, std::uint32_t here, std::uint32_t other) {
  sm_cell cell{};
  cell.alias.threshold = threshold;
  cell.alias.here = here;
  cell.alias.other = other;
  return cell;
}

void addEndpoint(NodeView& node, std::uint32_t id, const std::string& address,
                 const std::string& cluster, std::uint32_t weight, EdsHealth health) {
  ImageEndpoint endpoint;
  endpoint.id = id;
  endpoint.cluster = cluster;
  endpoint.endpoint = {at(address), Locality{"eu-west", "a", ""}, 0, weight, health};
  node.image.endpoints[id] = endpoint;
  node.live.endpoints[id] = {};
}

ImageService& addService(NodeView& node, std::uint32_t id, const std::string& vip,
                         const std::string& name, std::shared_ptr<LbService> service) {
  service->name = name;
  service->vip = at(vip);
  ImageService image;
  image.id = id;
  image.descriptorIndex = 10 + id;
  encodeAddress(service->vip.ip, image.descriptor.addr_be);
  image.descriptor.port_be = encodePort(service->vip.port);
  image.descriptor.protocol = 6;
  image.descriptor.service_id = id;
  image.descriptor.group_first = 100 * id;
  image.descriptor.group_count = static_cast<__u32>(service->groups.size());
  image.descriptor.pick_size = service->pickSize;
  image.descriptor.flags = service->flags;
  image.groups.resize(service->groups.size());
  for (std::size_t i = 0; i < service->groups.size(); ++i) {
    image.groups[i].policy = service->groups[i]->policy;
    image.groups[i].reason = service->groups[i]->reason;
    image.groups[i].host_count = static_cast<__u32>(service->groups[i]->hosts.size());
  }
  image.service = std::move(service);
  node.image.serviceNames[id] = name;
  return node.image.services[{at(vip), Protocol::kTcp}] = image;
}

// 75% to v1 (round robin over two), 25% to v2 (least request over one).
void addReviews(NodeView& node) {
  auto v1 = std::make_shared<LbGroup>();
  v1->policy = SM_POLICY_ROUND_ROBIN;
  v1->cluster = "reviews-v1";
  v1->hosts = {at("10.0.0.1:9080"), at("10.0.0.2:9080")};
  v1->table = wordTable({0, 1, 0});
  auto v2 = std::make_shared<LbGroup>();
  v2->policy = SM_POLICY_LEAST_REQUEST;
  v2->cluster = "reviews-v2";
  v2->hosts = {at("10.0.0.3:9080")};
  auto service = std::make_shared<LbService>();
  service->groups = {v1, v2};
  service->pickSize = 2;
  service->pick = aliasTable({alias(UINT32_MAX, 0, 0), alias(1U << 31, 1, 0)});
  ImageService& image = addService(node, 1, "10.96.0.10:80", "reviews:80", service);
  image.descriptor.pick_cell = 500;
  image.groups[0].table_cell = 510;
  image.groups[0].table_size = 3;
  image.groups[0].host_cell = 520;
  image.groups[0].cluster_id = 1;
  image.groups[1].host_cell = 530;
  image.groups[1].cluster_id = 2;
  image.groups[1].choice_count = 2;
  image.groups[1].bias_q16 = 1U << 16;
}

void addWithout(NodeView& node, std::uint32_t id, const std::string& vip, const std::string& name,
                sm_policy policy, sm_reason reason, std::uint32_t flags) {
  auto group = std::make_shared<LbGroup>();
  group->policy = policy;
  group->reason = reason;
  group->cluster = name + "-cluster";
  auto service = std::make_shared<LbService>();
  service->groups = {group};
  service->flags = flags;
  addService(node, id, vip, name, service);
}

void addTraffic(NodeView& node) {
  LiveEndpoint& busy = node.live.endpoints[1];
  busy.state.active = 3;
  busy.stats.selected = 20;
  busy.stats.established = 18;
  busy.stats.failed[SM_FAILURE_TIMED_OUT] = 1;
  busy.stats.failed[SM_FAILURE_LOCAL] = 1;
  busy.stats.closed[SM_CLOSE_CLEAN] = 15;
  busy.stats.sent_bytes = 2048;
  busy.stats.received_bytes = 100;
  busy.stats.retransmits = 4;
  busy.stats.connect_us[0] = 10;
  busy.stats.connect_us[4] = 8;
  LiveEndpoint& ejected = node.live.endpoints[2];
  ejected.state.ejected_until_ns = kNowNs + 30 * kSecondNs;
  ejected.state.ejected_at_ns = kNowNs - 30 * kSecondNs;
  ejected.state.unejected_at_ns = kNowNs - 90 * kSecondNs;
  ejected.state.ejections = 2;
  ejected.state.multiplier = 2;
  ejected.state.consecutive_failures = 5;
  ejected.stats.selected = 5;
  ejected.stats.failed[SM_FAILURE_REFUSED] = 5;
  sm_cluster_state& cluster = node.live.clusters[1].state;
  cluster.ejected = 1;
  cluster.ejection_limit = 1;
  cluster.consecutive[0] = {5, 0, SM_DETECTOR_CONSECUTIVE_GATEWAY_FAILURE};
  cluster.consecutive[1] = {5, 100, SM_DETECTOR_CONSECUTIVE_5XX};
  cluster.connect_timeout_ns = 5 * kSecondNs;
  cluster.base_ejection_ns = 30 * kSecondNs;
  cluster.max_ejection_ns = 300 * kSecondNs;
  sm_cluster_stats& stats = node.live.clusters[1].stats;
  stats.ejections_detected[SM_DETECTOR_CONSECUTIVE_5XX] = 3;
  stats.ejections_enforced[SM_DETECTOR_CONSECUTIVE_5XX] = 2;
  stats.ejections_overflow = 1;
  node.live.counters[SM_COUNTER_CONN_OVERFLOW] = 7;
  sm_connection connection{};
  encodeAddress(at("10.96.0.10:80").ip, connection.vip_be);
  connection.vip_port_be = encodePort(80);
  connection.state = SM_CONN_ESTABLISHED;
  connection.endpoint_id = 1;
  connection.connect_at_ns = kNowNs - 2 * kSecondNs;
  connection.client = 2;
  node.live.clients.resize(3);
  node.live.clients[2].id = 4;
  node.live.clients[2].used_ns = kNowNs - 5 * kSecondNs;
  node.live.clients[2].affinities = 3;
  node.connections.push_back({17, 2, 4113, connection});
  node.sockets[4113] = {"10.244.1.9:43210", 52101, "net:[4026532008]", "/proc/4242/ns/net"};
}

void addAffinity(NodeView& node) {
  sm_affinity_key key{};
  encodeAddress(at("10.244.1.9:0").ip, key.client_be);
  encodeAddress(at("10.96.0.10:80").ip, key.vip_be);
  key.vip_port_be = encodePort(80);
  key.protocol = 6;
  sm_affinity last{};
  encodeAddress(at("10.0.0.2:9080").ip, last.addr_be);
  last.port_be = encodePort(9080);
  last.endpoint_id = 2;
  last.used_ns = kNowNs - 90'123'456'789;
  node.affinity.emplace_back(key, last);
  sm_flow_key flowKey{};
  flowKey.cookie = 4113;
  std::memcpy(flowKey.addr_be, key.vip_be, sizeof(flowKey.addr_be));
  flowKey.port_be = key.vip_port_be;
  sm_flow flow{};
  flow.last = last;
  node.flows.emplace_back(flowKey, flow);
  sm_flow_source source{};
  std::memcpy(source.vip.addr_be, key.vip_be, sizeof(source.vip.addr_be));
  source.vip.port_be = key.vip_port_be;
  source.endpoint_id = last.endpoint_id;
  source.answered_ns = 1;
  std::memcpy(flowKey.addr_be, last.addr_be, sizeof(flowKey.addr_be));
  flowKey.port_be = last.port_be;
  node.flowSources.emplace_back(flowKey, source);
}

// A rule of each kind.
void addServed(NodeView& node) {
  node.served = {{{.id = 7001, .kind = SM_SERVED_CGROUP, .pad = 0}, {}},
                 {{.id = 0, .kind = SM_SERVED_SIDECAR, .pad = 0}, {}},
                 {{.id = 4026532011, .kind = SM_SERVED_NETNS, .pad = 0}, {}}};
  node.served[1].second.ports[0] = 15001;
  node.served[1].second.ports[1] = 15006;
  node.served[2].second.let_in = 1;
  node.served[2].second.netns_cookie = 12;
}

void addMaps(NodeView& node) {
  const auto add = [&node](const std::string& name, const std::string& kind, std::uint64_t entries,
                           std::uint64_t capacity, std::uint64_t pages, std::uint64_t memory) {
    node.live.maps.push_back({name, kind, name != "events", entries, capacity, pages, memory});
  };
  add("frontends4", "hash", 2, 131072, 0, 8192);
  add("endpoints", "array_of_maps", 3, 4194304, 1, 98304);
  add("names", "hash", 900, 1000, 0, 131072);
  add("events", "ringbuf", 0, 262144, 0, 270336);
}

}  // namespace

Attachment attached(const std::string& program, const std::string& hook, std::uint32_t id) {
  Attachment out;
  out.link = program;
  out.linkId = id + 50;
  out.program = {id, program, "0123456789abcdef", true};
  out.hook = hook;
  out.cgroupId = 1;
  out.cgroupPath = "/sys/fs/cgroup";
  out.order = {out.program};
  return out;
}

void addPodWithSidecar(NodeView& node) {
  node.live.unserved = {{.cgroupId = 7002,
                         .netnsCookie = 13,
                         .netnsInode = 4026532012,
                         .reason = SM_UNSERVED_SIDECAR,
                         .seenNs = kNowNs - 30 * kSecondNs}};
  node.cgroupPaths[7002] = "/sys/fs/cgroup/kubepods/pod1";
}

sm_selection makeSelection() {
  sm_selection one{};
  one.number = 7;
  one.at_ns = kNowNs - 3 * kSecondNs / 2;
  one.client = SM_CLIENT_IS_POD | 7003;
  encodeAddress(at("10.96.0.10:80").ip, one.vip_be);
  one.vip_port_be = encodePort(80);
  encodeAddress(at("10.0.0.1:9080").ip, one.endpoint_be);
  one.endpoint_port_be = encodePort(9080);
  one.endpoint_id = 1;
  one.cluster_id = 1;
  one.took_ns = 310;
  one.tgid = 4300;
  one.protocol = IPPROTO_TCP;
  one.policy = SM_POLICY_ROUND_ROBIN;
  one.kind = SM_SELECTION_CONNECT;
  std::strcpy(one.thread, "curl");
  return one;
}

NodeView makeNode() {
  NodeView node;
  node.pinFolder = "/sys/fs/bpf/sockmesh-v1";
  node.live.nowNs = kNowNs;
  node.image.clusterNames = {{1, "reviews-v1"}, {2, "reviews-v2"}};
  node.image.localityNames = {{1, "eu-west/a"}};
  node.live.clusters[1] = {};
  node.live.clusters[2] = {};
  node.live.clusters[1].stats.left_alone = 2;
  addEndpoint(node, 1, "10.0.0.1:9080", "reviews-v1", 2, EdsHealth::kHealthy);
  addEndpoint(node, 2, "10.0.0.2:9080", "reviews-v1", 1, EdsHealth::kUnknown);
  addEndpoint(node, 3, "10.0.0.3:9080", "reviews-v2", 1, EdsHealth::kHealthy);
  addReviews(node);
  addWithout(node, 2, "10.96.0.11:443", "vault", SM_POLICY_LEAVE_ALONE, SM_REASON_TLS, 0);
  addWithout(node, 3, "[fd00::1]:80", "ratings", SM_POLICY_REFUSE, SM_REASON_NO_ENDPOINTS,
             SM_DESCRIPTOR_AUTO_TLS | SM_DESCRIPTOR_NEEDS_L7);
  addTraffic(node);
  addAffinity(node);
  addServed(node);
  addMaps(node);
  node.canaries.push_back({.hook = "connect4",
                           .vip = at("10.96.0.10:80"),
                           .service = "reviews:80",
                           .result = Canary::Result::kRewritten,
                           .leadsTo = at("10.0.0.1:9080"),
                           .problem = "",
                           .before = {}});
  node.attachments = {attached("sm_connect4", "connect4", 11)};
  node.globals.agent_tgid = 4242;
  node.globals.sample_below = 1U << 25;
  node.globals.histogram_below = 1U << 25;
  node.globals.selections = 7;
  node.globals.watchers[0].until_ns = kNowNs + kSecondNs;
  node.selections = {makeSelection()};
  node.live.selectionTimes.count[2] = 3;
  node.live.selectionTimes.sum_ns = 600;
  node.unswept = {2};
  node.frontendFilter.resize(SM_FILTER_WORDS);
  node.frontendFilter[297] = 1ULL << 52;
  node.frontendFilter[1826] = 1ULL << 11;
  return node;
}

std::string shown(const Outcome& outcome, Format format, bool headers) {
  if (const auto* failure = std::get_if<Failure>(&outcome)) {
    return "exit " + std::to_string(failure->exitCode) + ": " + failure->message;
  }
  const auto& document = std::get<Document>(outcome);
  expectSchema(document);
  return render(document, format, headers);
}

void expectSchema(const Document& document) {
  const Json json = Json::parse(render(document, Format::kJson, true));
  EXPECT_THAT(sockmesh::test::violations(json), ::testing::IsEmpty()) << document.kind;
}

}  // namespace sockmesh::ctl::test
