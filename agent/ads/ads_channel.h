// SPDX-License-Identifier: Apache-2.0
// The one place where a connection to the control plane is made.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace sockmesh {

// Paths of PEM files.
struct AdsTlsFiles {
  std::string roots;        // whom to trust; "": the roots that gRPC finds on the system
  std::string certificate;  // the client's chain; "": none is shown
  std::string key;          // of `certificate`
};

struct AdsChannelOptions {
  std::string target;              // a gRPC target: HOST:PORT, ipv4:..., unix:...
  std::optional<AdsTlsFiles> tls;  // nothing: plaintext
  std::string tokenPath;  // a file with a bearer token, sent as `authorization`; "": none is sent
  std::string clusterId;  // sent as `clusterid`; "": none is sent
  // The name that the server's certificate has to hold and that calls are addressed to; "": the
  // host of `target`.
  std::string authority;
  Nanos keepalive = std::chrono::seconds(30);  // between pings
  int maxResponseBytes = 1 << 30;              // a larger response ends the stream
};

struct AdsConnection {
  std::shared_ptr<grpc::Channel> channel;
  std::vector<std::pair<std::string, std::string>> metadata;  // of each call; keys in lower case
};

// A fresh, unshared channel. A new channel for each attempt resolves the name again and has no
// backoff of gRPC's own. It does not connect yet. All files are read anew, so that a token or a
// certificate that was replaced is used from the next attempt on. The error names the file.
Result<AdsConnection> makeAdsConnection(const AdsChannelOptions& options);

}  // namespace sockmesh
