// SPDX-License-Identifier: Apache-2.0
// TLS on the server's side.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>

#include "base/result.h"

namespace sockmesh {

// Paths of PEM files, "" for none.
struct ServerTlsFiles {
  std::string certificate;  // the server's chain; "": plaintext
  std::string key;          // of `certificate`
  std::string clientRoots;  // clients need a certificate that one of these has signed
};

// Reads the files once. The error names the file.
Result<std::shared_ptr<grpc::ServerCredentials>> serverCredentials(const ServerTlsFiles& files);

}  // namespace sockmesh
