// SPDX-License-Identifier: Apache-2.0
#include "node_view.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "inspect/selection_watch.h"
#include "lb/table_check.h"
#include "maps/pin_path.h"
#include "maps/unswept.h"
#include "text.h"

namespace sockmesh::ctl {
namespace {

std::optional<Failure> checkReachable(const std::string& bpffsRoot) {
  const PinPath pins(bpffsRoot);
  struct stat status {};
  if (stat(pins.maps().c_str(), &status) == 0) {
    if (access(pins.maps().c_str(), R_OK | X_OK) == 0) return std::nullopt;
    errno = EACCES;
  }
  if (errno == EACCES || errno == EPERM) {
    return Failure{kExitUnavailable, geteuid() == 0
                                         ? "no access to " + pins.maps()
                                         : "not root: reading the maps under " + pins.folder +
                                               " needs root (CAP_BPF and access to the folder)"};
  }
  std::string message = "no sockmesh maps under " + pins.folder;
  if (const auto others = PinPath::ofOtherVersions(bpffsRoot); !others.empty()) {
    return Failure{kExitUnavailable,
                   message + ", but under " + others.front().folder +
                       ": they have another layout, use that version's sockmeshctl"};
  }
  return Failure{kExitUnavailable, message + ", is sockmeshd installed on this node?"};
}

Failure unreadable(const Error& error) {
  const bool denied = error.errnum() == EPERM || error.errnum() == EACCES;
  return {denied ? kExitUnavailable : kExitBadData,
          (denied && geteuid() != 0 ? "not root: " : "") + error.message()};
}

// Moves services whose tables lead nowhere to `broken`.
void checkServices(KernelImage& image) {
  for (auto it = image.services.begin(); it != image.services.end();) {
    const Status checked = checkTables(*it->second.service);
    if (!checked) {
      image.broken.push_back(checked.error().in(it->first.vip.toString()).message());
      image.brokenFrontends.push_back(it->first);
    }
    it = checked ? std::next(it) : image.services.erase(it);
  }
}

// The agent may write while this reads, and replaced tables then look broken. Only a service that
// looks broken several times in a row is broken.
Result<KernelImage> readImage(const KernelMaps& maps) {
  constexpr int kTries = 3;
  for (int tries = 1;; ++tries) {
    auto image = KernelImage::read(maps);
    if (!image) return image;
    checkServices(*image);
    if (image->broken.empty() || tries == kTries) return image;
  }
}

}  // namespace

std::string staleText(const LiveState& live) {
  const double seconds = static_cast<double>(live.nowNs - live.staleFromNs) / 1e9;
  return "for " + secondsText(seconds) +
         ", because the control plane was not heard within ads.stale_after; connects to VIPs go "
         "where they would without sockmesh";
}

std::variant<NodeView, Failure> readNode(const std::string& bpffsRoot) {
  if (auto failure = checkReachable(bpffsRoot)) return *failure;
  const PinPath pins(bpffsRoot);
  NodeView view;
  view.pinFolder = pins.folder;
  auto maps = KernelMaps::open(pins.maps(), MapAccess::kReadOnly);
  if (!maps) return unreadable(maps.error());
  auto image = readImage(**maps);
  if (!image) return unreadable(image.error());
  view.image = std::move(image).value();
  auto live = LiveState::read(**maps, view.image, pins.maps());
  if (!live) return unreadable(live.error());
  view.live = std::move(live).value();
  view.connections = sockmesh::readConnections(**maps);
  auto affinity = (*maps)->affinity.entries();
  if (!affinity) return unreadable(affinity.error());
  view.affinity = std::move(affinity).value();
  for (std::uint32_t i = 0; i < SM_FILTER_WORDS; ++i) {
    view.frontendFilter.push_back((*maps)->frontendFilter[i]);
  }
  view.unswept = unsweptClusters(**maps);
  auto flows = (*maps)->flows.entries();
  if (!flows) return unreadable(flows.error());
  view.flows = std::move(flows).value();
  auto sources = (*maps)->flowSources.entries();
  if (!sources) return unreadable(sources.error());
  view.flowSources = std::move(sources).value();
  auto served = (*maps)->served.entries();
  if (!served) return unreadable(served.error());
  view.served = std::move(served).value();
  for (const Unserved& one : view.live.unserved) {
    if (!view.cgroupPaths.contains(one.cgroupId)) {
      view.cgroupPaths[one.cgroupId] = cgroupPath(one.cgroupId);
    }
  }
  view.globals = (*maps)->globals[0];
  view.selections = shownSelections((*maps)->selections);
  auto attachments = readAttachments(bpffsRoot);
  if (attachments) {
    view.attachments = std::move(attachments).value();
  } else {
    view.attachmentsProblem = attachments.error().message();
  }
  return view;
}

}  // namespace sockmesh::ctl
