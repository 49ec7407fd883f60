// The one place where a channel to the control plane is made.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>

namespace sockmesh {

struct AdsChannelOptions {
  std::string target;  // a gRPC target: HOST:PORT, ipv4:..., unix:...
};

// A fresh, unshared channel: made anew for each attempt, it resolves the name again and brings none
// of gRPC's own back-off along. Does not connect yet.
std::shared_ptr<grpc::Channel> makeAdsChannel(const AdsChannelOptions& options);

}  // namespace sockmesh
