// SPDX-License-Identifier: Apache-2.0
// Why connections are refused or left alone, as far as the tables say it. The programs count
// verdicts by cluster, without their reason.
#pragma once

#include <cstdint>
#include <string_view>
#include <unordered_map>

#include "maps/kernel_image.h"
#include "stats/datapath_stats.h"

namespace sockmesh {

struct ClusterVerdicts {
  VerdictReasons refused;
  VerdictReasons leftAlone;
};

// By cluster id, of clusters for whose connections the tables of any service have a verdict.
std::unordered_map<std::uint32_t, ClusterVerdicts> verdictReasons(const KernelImage& image);

// As metrics spell it: "no_endpoints" for SM_REASON_NO_ENDPOINTS. It lives for ever.
std::string_view reasonLabel(std::uint32_t reason);

}  // namespace sockmesh
