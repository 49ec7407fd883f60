// SPDX-License-Identifier: Apache-2.0
#include "maps/codec.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace sockmesh {

void encodeAddress(const IpAddress& ip, __be32 (&out)[4]) {
  static_assert(sizeof(out) == 16);
  std::memcpy(out, ip.bytes().data(), sizeof(out));
}

IpAddress decodeAddress(const __be32 (&address)[4]) {
  std::array<std::uint8_t, 16> bytes{};
  std::memcpy(bytes.data(), address, bytes.size());
  return IpAddress::v6(bytes);
}

__be16 encodePort(std::uint16_t port) {
  return htons(port);
}
std::uint16_t decodePort(__be16 port) {
  return ntohs(port);
}

sm_frontend4_key encodeFrontend4(const VipKey& key) {
  __be32 address[4];
  encodeAddress(key.vip.ip, address);
  sm_frontend4_key out{};
  out.addr_be = address[3];
  out.port_be = encodePort(key.vip.port);
  out.protocol = static_cast<__u8>(key.protocol);
  return out;
}

sm_frontend6_key encodeFrontend6(const VipKey& key) {
  sm_frontend6_key out{};
  encodeAddress(key.vip.ip, out.addr_be);
  out.port_be = encodePort(key.vip.port);
  out.protocol = static_cast<__u8>(key.protocol);
  return out;
}

sm_range_key encodeRange(const VipKey& key) {
  sm_range_key out{};
  out.prefix_length = SM_RANGE_FIXED_BITS + key.vip.bits;
  out.protocol = static_cast<__u8>(key.protocol);
  out.port_be = encodePort(key.vip.port);
  encodeAddress(key.vip.ip, out.addr_be);
  return out;
}

VipKey decodeRange(const sm_range_key& key) {
  const auto bits = static_cast<std::uint8_t>(key.prefix_length - SM_RANGE_FIXED_BITS);
  return {Vip(decodeAddress(key.addr_be), decodePort(key.port_be), bits),
          static_cast<Protocol>(key.protocol)};
}

VipKey decodeFrontend(const sm_frontend4_key& key) {
  std::array<std::uint8_t, 4> bytes{};
  std::memcpy(bytes.data(), &key.addr_be, bytes.size());
  return {{IpAddress::v4(bytes), decodePort(key.port_be)}, static_cast<Protocol>(key.protocol)};
}

VipKey decodeFrontend(const sm_frontend6_key& key) {
  return {{decodeAddress(key.addr_be), decodePort(key.port_be)},
          static_cast<Protocol>(key.protocol)};
}

// The model's detectors are the ABI's, number for number.
static_assert(kDetectors == SM_DETECTORS);
static_assert(static_cast<int>(Detector::kConsecutive5xx) == SM_DETECTOR_CONSECUTIVE_5XX);
static_assert(static_cast<int>(Detector::kConsecutiveGatewayFailure) ==
              SM_DETECTOR_CONSECUTIVE_GATEWAY_FAILURE);
static_assert(static_cast<int>(Detector::kSuccessRate) == SM_DETECTOR_SUCCESS_RATE);
static_assert(static_cast<int>(Detector::kConsecutiveLocalOriginFailure) ==
              SM_DETECTOR_CONSECUTIVE_LOCAL_ORIGIN_FAILURE);
static_assert(static_cast<int>(Detector::kSuccessRateLocalOrigin) ==
              SM_DETECTOR_SUCCESS_RATE_LOCAL_ORIGIN);
static_assert(static_cast<int>(Detector::kFailurePercentage) == SM_DETECTOR_FAILURE_PERCENTAGE);
static_assert(static_cast<int>(Detector::kFailurePercentageLocalOrigin) ==
              SM_DETECTOR_FAILURE_PERCENTAGE_LOCAL_ORIGIN);

sm_consecutive_rule encodeConsecutiveRule(const ConsecutiveRule& rule) {
  return {.threshold = rule.threshold,
          .enforcing_percent = static_cast<__u16>(rule.enforcingPercent),
          .detector = static_cast<__u16>(rule.detector)};
}

EjectionRules decodeEjectionRules(const sm_cluster_state& state) {
  EjectionRules rules;
  for (std::size_t i = 0; i < rules.consecutive.size(); ++i) {
    const sm_consecutive_rule& rule = state.consecutive[i];
    rules.consecutive[i] = {rule.threshold, rule.enforcing_percent,
                            static_cast<Detector>(rule.detector)};
  }
  rules.limit = state.ejection_limit;
  rules.base = Nanos(state.base_ejection_ns);
  rules.max = Nanos(state.max_ejection_ns);
  rules.jitter = std::chrono::milliseconds(state.jitter_ms);
  rules.interval = Nanos(state.interval_ns);
  return rules;
}

std::vector<sm_cell> encodeHosts(const std::vector<std::uint32_t>& ids) {
  std::vector<sm_cell> cells((ids.size() + 3) / 4);
  for (std::size_t i = 0; i < ids.size(); ++i) cells[i / 4].words[i % 4] = ids[i];
  return cells;
}

std::vector<sm_name> encodeName(const std::string& name) {
  const std::size_t parts =
      std::max<std::size_t>(1, (name.size() + SM_NAME_PART - 1) / SM_NAME_PART);
  std::vector<sm_name> out(parts);
  for (std::size_t part = 0; part < parts; ++part) {
    const std::size_t from = part * SM_NAME_PART;
    const std::size_t length = std::min<std::size_t>(SM_NAME_PART, name.size() - from);
    out[part].length = static_cast<__u16>(length);
    out[part].parts = static_cast<__u16>(parts);
    std::memcpy(out[part].text, name.data() + from, length);
  }
  return out;
}

}  // namespace sockmesh
