// SPDX-License-Identifier: Apache-2.0
#include "maps/kernel_image.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "lb/policy/policy.h"
#include "lb/table_shape.h"
#include "maps/codec.h"

namespace sockmesh {
namespace {

using Names = std::map<std::uint32_t, std::string>;

// Joins the parts of every name of each kind. A name that lacks a part after a crash is left out.
Status readNames(const KernelMaps& maps, KernelImage& image) {
  auto entries = maps.names.entries();
  if (!entries) return entries.error().in("names");
  std::map<std::pair<std::uint16_t, std::uint32_t>, std::map<std::uint16_t, sm_name>> byId;
  for (const auto& [key, value] : *entries) byId[{key.kind, key.id}][key.part] = value;
  for (const auto& [kindAndId, parts] : byId) {
    if (parts.size() != parts.begin()->second.parts) continue;
    std::string name;
    for (const auto& [part, value] : parts) {
      name.append(value.text, std::min<std::size_t>(value.length, SM_NAME_PART));
    }
    const auto [kind, id] = kindAndId;
    if (kind == SM_NAME_SERVICE) image.serviceNames[id] = name;
    if (kind == SM_NAME_CLUSTER) image.clusterNames[id] = name;
    if (kind == SM_NAME_LOCALITY) image.localityNames[id] = name;
  }
  return {};
}

std::string nameOf(const Names& names, std::uint32_t id) {
  const auto found = names.find(id);
  return found == names.end() ? "" : found->second;
}

Locality parseLocality(const std::string& text) {
  Locality locality;
  const std::size_t first = text.find('/');
  locality.region = text.substr(0, first);
  if (first == std::string::npos) return locality;
  const std::size_t second = text.find('/', first + 1);
  locality.zone = text.substr(first + 1, second == std::string::npos ? second : second - first - 1);
  if (second != std::string::npos) locality.subZone = text.substr(second + 1);
  return locality;
}

void readEndpoints(const KernelMaps& maps, KernelImage::Tables tables, KernelImage& image) {
  for (const auto& [number, page] : maps.endpoints.pages()) {
    for (std::uint32_t i = 0; i < page.size(); ++i) {
      const sm_endpoint& raw = page[i];
      if (raw.family == 0) continue;
      ++image.endpointCount;
      if (tables == KernelImage::Tables::kNoHosts) continue;
      ImageEndpoint endpoint;
      endpoint.id = (number << SM_ENDPOINT_PAGE_BITS) | i;
      endpoint.cluster = nameOf(image.clusterNames, raw.cluster_id);
      endpoint.endpoint.address = {decodeAddress(raw.addr_be), decodePort(raw.port_be)};
      endpoint.endpoint.locality = parseLocality(nameOf(image.localityNames, raw.locality_id));
      endpoint.endpoint.priority = raw.priority;
      endpoint.endpoint.weight = raw.weight;
      endpoint.endpoint.health = static_cast<EdsHealth>(raw.eds_health);
      if (const sm_endpoint_state* state = maps.endpointState.at(endpoint.id)) {
        endpoint.withdrawn = state->withdrawn != 0;
      }
      if (raw.other_family != 0) {
        endpoint.endpoint.otherAddress =
            SocketAddress{decodeAddress(raw.other_addr_be), decodePort(raw.other_port_be)};
      }
      image.endpoints.emplace(endpoint.id, std::move(endpoint));
    }
  }
}

std::uint64_t hashCells(const std::vector<sm_cell>& cells) {
  std::uint64_t hash = 1469598103934665603ULL;  // FNV-1a
  for (const sm_cell& cell : cells) {
    for (const std::uint32_t word : cell.words) hash = (hash ^ word) * 1099511628211ULL;
  }
  return hash;
}

// The cells [first, first + count), or null if a page is missing.
std::shared_ptr<const CellTable> readTable(const KernelMaps& maps, std::uint32_t first,
                                           std::uint32_t count, std::uint32_t size) {
  auto table = std::make_shared<CellTable>();
  table->size = size;
  table->cells.reserve(count);
  for (std::uint32_t i = 0; i < count; ++i) {
    const sm_cell* cell = maps.cells.at(first + i);
    if (cell == nullptr) return nullptr;
    table->cells.push_back(*cell);
  }
  table->contentHash = hashCells(table->cells);
  return table;
}

class Reader {
 public:
  Reader(const KernelMaps& maps, KernelImage::Tables tables, KernelImage& image)
      : maps_(maps), tables_(tables), image_(image) {}

  void service(const VipKey& key, std::uint32_t id) {
    auto read = readService(key, id);
    if (read) {
      image_.services[key] = std::move(read).value();
    } else {
      image_.broken.push_back(read.error().in(key.vip.toString()).message());
      image_.brokenFrontends.push_back(key);
    }
  }

 private:
  Result<ImageService> readService(const VipKey& key, std::uint32_t id) {
    if (id >= maps_.heads.size()) return Error("service id " + std::to_string(id));
    const std::uint32_t head =
        std::atomic_ref<std::uint32_t>(maps_.heads[id]).load(std::memory_order_acquire);
    auto out = readTables(key, id, head);
    if (!out) return out.error();
    auto service = std::make_shared<LbService>(*out->service);
    if (auto done = readOnly(key, id, out->descriptor.ipv4_only, out->ipv4Only, service->ipv4Only);
        !done) {
      return done.error().in("IPv4 only");
    }
    if (auto done = readOnly(key, id, out->descriptor.ipv6_only, out->ipv6Only, service->ipv6Only);
        !done) {
      return done.error().in("IPv6 only");
    }
    out->service = std::move(service);
    return out;
  }

  Status readOnly(const VipKey& key, std::uint32_t id, std::uint32_t descriptor,
                  std::shared_ptr<const ImageService>& image,
                  std::shared_ptr<const LbService>& service) {
    if (descriptor == SM_NONE) return {};
    auto read = readTables(key, id, descriptor);
    if (!read) return read.error();
    image = std::make_shared<const ImageService>(std::move(read).value());
    service = image->service;
    return {};
  }

  Result<ImageService> readTables(const VipKey& key, std::uint32_t id, std::uint32_t index) {
    ImageService out;
    out.id = id;
    out.descriptorIndex = index;
    const sm_descriptor* descriptor = maps_.descriptors.at(out.descriptorIndex);
    if (descriptor == nullptr) {
      return Error("descriptor " + std::to_string(out.descriptorIndex) + " has no page");
    }
    out.descriptor = *descriptor;
    if (decodeAddress(descriptor->addr_be) != key.vip.ip ||
        decodePort(descriptor->port_be) != key.vip.port ||
        descriptor->range_bits != (key.vip.isRange() ? key.vip.bits : 0U)) {
      return Error("descriptor " + std::to_string(out.descriptorIndex) + " is of another VIP");
    }
    auto service = std::make_shared<LbService>();
    service->name = nameOf(image_.serviceNames, id);
    service->vip = key.vip;
    service->protocol = key.protocol;
    service->pickSize = descriptor->pick_size;
    service->flags = descriptor->flags;
    service->affinitySeconds = descriptor->affinity_s;
    if (descriptor->pick_size > 1) {
      service->pick = table(descriptor->pick_cell, descriptor->pick_size, descriptor->pick_size);
      if (!service->pick) return Error("pick cells without a page");
    }
    for (std::uint32_t i = 0; i < descriptor->group_count; ++i) {
      const sm_group* group = maps_.groups.at(descriptor->group_first + i);
      if (group == nullptr) return Error("group without a page");
      out.groups.push_back(*group);
      auto decoded = readGroup(*group);
      if (!decoded) return decoded.error();
      service->groups.push_back(std::move(decoded).value());
      service->legs.push_back(group->leg);
    }
    out.service = std::move(service);
    return out;
  }

  Result<std::shared_ptr<const LbGroup>> readGroup(const sm_group& raw) {
    auto group = std::make_shared<LbGroup>();
    group->policy = static_cast<sm_policy>(raw.policy);
    group->reason = static_cast<sm_reason>(raw.reason);
    group->cluster = nameOf(image_.clusterNames, raw.cluster_id);
    group->flags = raw.flags;
    group->priority = raw.priority;
    group->locality = parseLocality(nameOf(image_.localityNames, raw.locality_id));
    group->choiceCount = raw.choice_count;
    group->biasQ16 = raw.bias_q16;
    group->balancePercent = raw.balance_percent;
    group->ringShift = raw.ring_shift;
    if (auto read = readHosts(raw, *group); !read) return read.error();
    const std::uint32_t cells = tableCellCount(shapeOf(raw));
    const bool wanted =
        tables_ == KernelImage::Tables::kAll || policyOf(raw.policy).leadsToGroups();
    if (cells > 0 && wanted) {
      group->table = table(raw.table_cell, cells, raw.table_size);
      if (!group->table) return Error("table cells without a page");
    }
    return std::shared_ptr<const LbGroup>(std::move(group));
  }

  Status readHosts(const sm_group& raw, LbGroup& group) const {
    for (std::uint32_t i = 0; i < raw.host_count; ++i) {
      const sm_cell* cell = maps_.cells.at(raw.host_cell + i / 4);
      const std::uint32_t id = cell == nullptr ? SM_NONE : cell->words[i % 4];
      if (!readHost(id, group)) return Error("host " + std::to_string(i) + " of a group");
    }
    const auto& others = group.otherAddresses;
    if (std::none_of(others.begin(), others.end(), [](const auto& one) { return one; })) {
      group.otherAddresses.clear();
    }
    return {};
  }

  // False: there is no such endpoint.
  bool readHost(std::uint32_t id, LbGroup& group) const {
    if (tables_ == KernelImage::Tables::kNoHosts) {
      const sm_endpoint* raw = maps_.endpoints.at(id);
      return raw != nullptr && raw->family != 0;
    }
    const auto found = image_.endpoints.find(id);
    if (found == image_.endpoints.end()) return false;
    group.hosts.push_back(found->second.endpoint.address);
    group.otherAddresses.push_back(found->second.endpoint.otherAddress);
    return true;
  }

  // Equal tables of several groups are one range of cells, and so they are one object here.
  std::shared_ptr<const CellTable> table(std::uint32_t first, std::uint32_t count,
                                         std::uint32_t size) {
    auto& known = known_[{first, count, size}];
    if (!known) known = readTable(maps_, first, count, size);
    return known;
  }

  const KernelMaps& maps_;
  KernelImage::Tables tables_;
  KernelImage& image_;
  std::map<std::array<std::uint32_t, 3>, std::shared_ptr<const CellTable>> known_;
};

}  // namespace

std::vector<const ImageService*> withOthers(const ImageService& service) {
  std::vector<const ImageService*> all = {&service};
  if (service.ipv4Only) all.push_back(service.ipv4Only.get());
  if (service.ipv6Only) all.push_back(service.ipv6Only.get());
  return all;
}

namespace {

// Where a VIP is an endpoint of its own cluster, as with names that are resolved to VIPs, it is the
// address of a host, too.
std::set<std::pair<SocketAddress, std::string>> ownHosts(const KernelImage& image) {
  std::set<std::pair<SocketAddress, std::string>> own;
  for (const auto& [key, service] : image.services) {
    if (key.vip.isRange()) continue;
    for (const auto& group : service.service->groups) {
      own.emplace(key.vip.address(), group->cluster);
    }
  }
  return own;
}

}  // namespace

std::vector<UnreachableEndpoint> unreachableEndpoints(const KernelImage& image) {
  VipNames vips;
  for (const auto& [key, service] : image.services) {
    if (!key.vip.isRange()) vips.emplace(key.vip.address(), service.service->name);
  }
  const auto own = ownHosts(image);
  std::map<std::pair<std::string, SocketAddress>, UnreachableEndpoint> found;
  for (const auto& [id, one] : image.endpoints) {
    auto bad = unreachable(one.cluster, one.endpoint.address, one.endpoint.otherAddress, vips);
    if (bad && own.contains({bad->address, one.cluster})) continue;
    if (bad) found.emplace(std::pair{bad->cluster, bad->address}, std::move(*bad));
  }
  std::vector<UnreachableEndpoint> out;
  out.reserve(found.size());
  for (auto& [key, one] : found) out.push_back(std::move(one));
  return out;
}

std::map<VipKey, ImageService>::const_iterator KernelImage::serviceAt(
    const SocketAddress& address) const {
  const Vip vip = address;
  const auto own = services.find({vip, Protocol::kTcp});
  if (own != services.end()) return own;
  const unsigned least = vip.ip.isV4() ? Vip::kAddressBits - 32U : 0U;
  for (unsigned bits = vip.bits; bits-- > least;) {
    const Vip range(maskedTo(vip.ip, bits), vip.port, static_cast<std::uint8_t>(bits));
    const auto found = services.find({range, Protocol::kTcp});
    if (found != services.end()) return found;
  }
  return services.find({vip, Protocol::kUdp});
}

Result<KernelImage> KernelImage::read(const KernelMaps& maps, Tables tables) {
  KernelImage image;
  if (auto names = readNames(maps, image); !names) return names.error();
  for (const auto& [id, name] : image.clusterNames) {
    const sm_cluster_state* state = maps.clusterState.at(id);
    if (state != nullptr) image.clusterStates[id] = *state;
  }
  readEndpoints(maps, tables, image);
  Reader reader(maps, tables, image);
  auto four = maps.frontends4.entries();
  if (!four) return four.error().in("frontends4");
  for (const auto& [key, id] : *four) reader.service(decodeFrontend(key), id);
  auto six = maps.frontends6.entries();
  if (!six) return six.error().in("frontends6");
  for (const auto& [key, id] : *six) reader.service(decodeFrontend(key), id);
  auto ranges = maps.ranges.entries();
  if (!ranges) return ranges.error().in("ranges");
  for (const auto& [key, id] : *ranges) reader.service(decodeRange(key), id);
  return image;
}

}  // namespace sockmesh
