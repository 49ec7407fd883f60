// SPDX-License-Identifier: Apache-2.0
#include "canary.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "lb/service_summary.h"
#include "silent_connect.h"

namespace sockmesh::ctl {
namespace {

// Services that are tried until one leads somewhere: from here there may be no route to some.
constexpr int kTries = 8;

bool isCanary(const VipKey& key, const ImageService& service, bool v4) {
  return key.protocol == Protocol::kTcp && key.vip.ip.isV4() == v4 &&
         summarize(*service.service).state == ServiceState::kBalanced &&
         !mayReach(*service.service, key.vip.address());
}

Canary tryOne(const SocketAddress& vip, const LbService& service) {
  Canary canary{.hook = vip.ip.isV4() ? "connect4" : "connect6",
                .vip = vip,
                .service = service.name,
                .result = Canary::Result::kUnknown,
                .leadsTo = std::nullopt,
                .problem = "",
                .before = {}};
  const auto tried = connectSilently(vip, 1);
  if (!tried) {
    canary.problem = tried.error().message();
  } else if (const SilentConnect& one = tried->front(); one.errnum != 0) {
    canary.problem = std::strerror(one.errnum);
    // The service does not refuse, and no packet was sent.
    const bool denied = one.errnum == EPERM || one.errnum == ECONNREFUSED;
    if (denied) canary.result = Canary::Result::kDenied;
  } else if (!one.leadsTo) {
    canary.problem = "the kernel does not list the socket";
  } else {
    canary.leadsTo = one.leadsTo;
    canary.result = *one.leadsTo == vip               ? Canary::Result::kNotRewritten
                    : mayReach(service, *one.leadsTo) ? Canary::Result::kRewritten
                                                      : Canary::Result::kElsewhere;
  }
  return canary;
}

// An address whose connections are of this service. Of a range: one of the first that no other VIP
// has.
std::optional<SocketAddress> addressOf(const KernelImage& image, const VipKey& key) {
  auto bytes = key.vip.ip.bytes();
  for (int i = 0; i < kTries; ++i, ++bytes.back()) {
    const SocketAddress address{IpAddress::v6(bytes), key.vip.port};
    const auto met = image.serviceAt(address);
    if (met != image.services.end() && met->first == key) return address;
    if (!key.vip.isRange()) break;
  }
  return std::nullopt;
}

std::optional<Canary> tryFamily(const KernelImage& image, bool v4) {
  std::optional<Canary> last;
  int tries = 0;
  for (const auto& [key, service] : image.services) {
    const auto address = isCanary(key, service, v4) ? addressOf(image, key) : std::nullopt;
    if (!address) continue;
    last = tryOne(*address, *service.service);
    if (last->result != Canary::Result::kUnknown || ++tries == kTries) break;
  }
  return last;
}

}  // namespace

bool mayReach(const LbService& service, const SocketAddress& leadsTo) {
  return std::ranges::any_of(service.groups, [&](const auto& group) {
    const auto& others = group->otherAddresses;
    return std::ranges::find(group->hosts, leadsTo) != group->hosts.end() ||
           std::ranges::find(others, std::optional(leadsTo)) != others.end();
  });
}

std::vector<Canary> tryCanaries(const KernelImage& image,
                                const std::vector<Attachment>& attachments) {
  std::vector<Canary> all;
  for (const bool v4 : {true, false}) {
    auto canary = tryFamily(image, v4);
    if (!canary) continue;
    const auto ours = std::ranges::find(attachments, "sm_" + canary->hook, &Attachment::link);
    if (ours != attachments.end()) {
      const auto here = runningHere(*ours);
      if (here && !here->runsHere) {
        canary->result = Canary::Result::kUnknown;
        canary->problem = "this command runs outside the cgroup of the programs";
      }
      if (here) canary->before = here->beforeOurs;
    }
    all.push_back(std::move(*canary));
  }
  return all;
}

}  // namespace sockmesh::ctl
