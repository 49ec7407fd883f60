// SPDX-License-Identifier: Apache-2.0
#include "daemon/verifier.h"

#include <chrono>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "inspect/drift.h"
#include "maps/kernel_image.h"
#include "maps/kernel_maps.h"
#include "maps/pin_path.h"

namespace sockmesh {
namespace {

constexpr auto kBetweenLooks = std::chrono::milliseconds(20);

std::vector<std::uint64_t> filterOf(const KernelMaps& maps) {
  std::vector<std::uint64_t> words;
  words.reserve(SM_FILTER_WORDS);
  for (std::uint32_t i = 0; i < SM_FILTER_WORDS; ++i) words.push_back(maps.frontendFilter[i]);
  return words;
}

}  // namespace

Result<DriftReport> Verifier::look(const InForce& inForce) const {
  auto maps = KernelMaps::open(PinPath(bpffsRoot_).maps(), MapAccess::kReadOnly);
  if (!maps) return maps.error();
  const auto image = KernelImage::read(**maps);
  if (!image) return image.error();
  DriftReport report;
  report.services = inForce.aim->services.size();
  report.clusters = inForce.aim->clusters.size();
  for (const auto& [name, cluster] : inForce.aim->clusters) {
    report.endpoints += cluster->endpoints.size();
  }
  report.drifts = driftFromControlPlane(*inForce.snapshot, *inForce.compiled);
  auto inKernel = driftInKernel(*inForce.aim, *image, filterOf(**maps));
  report.drifts.insert(report.drifts.end(), std::make_move_iterator(inKernel.begin()),
                       std::make_move_iterator(inKernel.end()));
  return report;
}

Result<DriftReport> Verifier::verify(Nanos patience, const std::stop_token& stop) const {
  const auto until = std::chrono::steady_clock::now() + patience;
  std::optional<DriftReport> last;  // with differences
  std::shared_ptr<const InForce> lastInForce;
  bool everInForce = false;
  while (!stop.stop_requested() && std::chrono::steady_clock::now() < until) {
    if (const auto before = inForce_(); before != nullptr) {
      everInForce = true;
      auto report = look(*before);
      if (!report) return report;
      if (inForce_() == before) {
        if (report->drifts.empty()) return report;
        if (last && lastInForce == before && last->drifts == report->drifts) return report;
        last = std::move(report).value();
        lastInForce = before;
      }
    }
    std::this_thread::sleep_for(kBetweenLooks);
  }
  return Error(everInForce ? "the agent writes its tables all the time; ask again"
                           : "the agent has no tables of a control plane to compare with yet");
}

}  // namespace sockmesh
