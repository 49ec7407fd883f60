// SPDX-License-Identifier: Apache-2.0
#include "server_credentials.h"

#include <cerrno>
#include <fstream>
#include <sstream>

namespace sockmesh {
namespace {

Result<std::string> readFile(const std::string& path) {
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  if (file) text << file.rdbuf();
  if (!file) return Error::fromErrno(path, errno == 0 ? EIO : errno);
  return text.str();
}

}  // namespace

Result<std::shared_ptr<grpc::ServerCredentials>> serverCredentials(const ServerTlsFiles& files) {
  if (files.certificate.empty()) return grpc::InsecureServerCredentials();
  const bool askClient = !files.clientRoots.empty();
  grpc::SslServerCredentialsOptions options(
      askClient ? GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY
                : GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE);
  const auto certificate = readFile(files.certificate);
  if (!certificate) return certificate.error();
  const auto key = readFile(files.key);
  if (!key) return key.error();
  options.pem_key_cert_pairs.push_back({*key, *certificate});
  if (askClient) {
    auto roots = readFile(files.clientRoots);
    if (!roots) return roots.error();
    options.pem_root_certs = *std::move(roots);
  }
  return grpc::SslServerCredentials(options);
}

}  // namespace sockmesh
