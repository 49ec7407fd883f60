// SPDX-License-Identifier: Apache-2.0
// The one place where a channel to the control plane is made.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>

namespace sockmesh {

struct AdsChannelOptions {
  std::string target;  // a gRPC target: HOST:PORT, ipv4:..., unix:...
};

// A fresh, unshared channel. A new channel for each attempt resolves the name again and has no
// backoff of gRPC's own. It does not connect yet.
std::shared_ptr<grpc::Channel> makeAdsChannel(const AdsChannelOptions& options);

}  // namespace sockmesh
