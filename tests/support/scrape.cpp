// SPDX-License-Identifier: Apache-2.0
#include "support/scrape.h"

#include "inspect/live_state.h"
#include "stats/datapath_collector.h"
#include "stats/exposition.h"

namespace sockmesh::test {

void useAllEndpoints(KernelMaps& maps) {
  for (const auto& [number, page] : maps.endpoints.pages()) {
    for (std::uint32_t i = 0; i < page.size(); ++i) {
      if (page[i].family == 0) continue;
      const std::uint32_t id = (number << SM_ENDPOINT_PAGE_BITS) | i;
      sm_endpoint_stats& stats = *maps.endpointStats.at(id << SM_STATS_SHARD_BITS);
      stats.selected = stats.established = 1;
      stats.connect_us[3] = 1;
    }
  }
}

std::string scrape(const std::string& bpffs) {
  const auto source = [&bpffs] { return readDatapathStats(bpffs); };
  return expose({std::make_shared<DatapathCollector>(source, DatapathMetricsOptions{})});
}

}  // namespace sockmesh::test
