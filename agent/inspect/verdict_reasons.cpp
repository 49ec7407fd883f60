// SPDX-License-Identifier: Apache-2.0
#include "inspect/verdict_reasons.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <string>

#include "lb/abi_names.h"

namespace sockmesh {
namespace {

constexpr std::size_t kReasons = SM_REASON_NO_REACHABLE + 1;

// "NoEndpoints" -> "no_endpoints"
std::string snakeCase(std::string_view name) {
  std::string out;
  for (const char c : name) {
    const bool upper = std::isupper(static_cast<unsigned char>(c)) != 0;
    if (upper && !out.empty()) out += '_';
    out += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return out;
}

std::array<std::string, kReasons> makeLabels() {
  std::array<std::string, kReasons> labels;
  for (std::uint32_t i = 0; i < kReasons; ++i) labels[i] = snakeCase(reasonWord(i).name);
  return labels;
}

void add(std::vector<std::string_view>& reasons, std::uint32_t reason) {
  const std::string_view label = reasonLabel(reason);
  if (std::ranges::find(reasons, label) == reasons.end()) reasons.push_back(label);
}

bool hasVerdict(const sm_group& group) {
  return group.policy == SM_POLICY_REFUSE || group.policy == SM_POLICY_LEAVE_ALONE ||
         (group.flags & SM_GROUP_NO_PANIC) != 0;
}

void addGroup(const sm_group& group, ClusterVerdicts& to) {
  if (group.policy == SM_POLICY_REFUSE) {
    add(to.refused.certain, group.reason);
  } else if (group.policy == SM_POLICY_LEAVE_ALONE) {
    add(to.leftAlone.certain, group.reason);
  } else {
    to.refused.onceEjected = reasonLabel(SM_REASON_NO_HEALTHY);
  }
}

}  // namespace

std::string_view reasonLabel(std::uint32_t reason) {
  static const std::array<std::string, kReasons> kLabels = makeLabels();
  return reason < kReasons ? std::string_view(kLabels[reason]) : "unknown";
}

std::unordered_map<std::uint32_t, ClusterVerdicts> verdictReasons(const KernelImage& image) {
  std::unordered_map<std::uint32_t, ClusterVerdicts> clusters;
  for (const auto& [key, service] : image.services) {
    for (const ImageService* one : withOthers(service)) {
      for (const sm_group& group : one->groups) {
        if (hasVerdict(group)) addGroup(group, clusters[group.cluster_id]);
      }
    }
  }
  return clusters;
}

}  // namespace sockmesh
