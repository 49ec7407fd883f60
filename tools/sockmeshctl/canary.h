// SPDX-License-Identifier: Apache-2.0
// Whether the programs have an effect: a connect() to a VIP that they must rewrite, without a
// packet (silent_connect.h).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "inspect/attachment_info.h"
#include "maps/kernel_image.h"
#include "model/address.h"

namespace sockmesh::ctl {

struct Canary {
  enum class Result {
    kRewritten,     // to an endpoint of the service
    kNotRewritten,  // it led to the VIP itself
    kDenied,     // connect() failed with `problem`: a program on the hook does not let it through
    kElsewhere,  // to an address that is no endpoint of the service
    kUnknown,    // `problem` says why
  };
  std::string hook;     // "connect4"
  SocketAddress vip;    // that was tried
  std::string service;  // its name
  Result result = Result::kUnknown;
  std::optional<SocketAddress> leadsTo;
  std::string problem;
  // Programs of others that run before ours for this process.
  std::vector<ProgramInfo> before;
};

// One for each address family of which a service is balanced. Connects from this process: from its
// network namespace and its cgroup.
std::vector<Canary> tryCanaries(const KernelImage& image,
                                const std::vector<Attachment>& attachments);

// Whether `leadsTo` is an endpoint that connections to the service may reach.
bool mayReach(const LbService& service, const SocketAddress& leadsTo);

}  // namespace sockmesh::ctl
