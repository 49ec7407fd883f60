// SPDX-License-Identifier: Apache-2.0
#include "ads/ads_channel.h"

#include "base/token_file.h"

namespace sockmesh {
namespace {

constexpr int kKeepaliveTimeoutMillis = 10'000;
// How long one attempt to connect may take.
constexpr int kConnectTimeoutMillis = 10'000;

Result<std::string> readPem(const std::string& path) {
  auto text = readSmallFile(path);
  if (text && text->find("-----BEGIN ") == std::string::npos) {
    return Error(path + ": is not a PEM file");
  }
  return text;
}

Result<std::shared_ptr<grpc::ChannelCredentials>> credentialsOf(const AdsChannelOptions& options) {
  if (!options.tls) return grpc::InsecureChannelCredentials();
  grpc::SslCredentialsOptions pem;
  const std::pair<const std::string&, std::string&> files[] = {
      {options.tls->roots, pem.pem_root_certs},
      {options.tls->certificate, pem.pem_cert_chain},
      {options.tls->key, pem.pem_private_key}};
  for (const auto& [path, text] : files) {
    if (path.empty()) continue;
    auto read = readPem(path);
    if (!read) return read.error();
    text = *std::move(read);
  }
  return grpc::SslCredentials(pem);
}

grpc::ChannelArguments argumentsOf(const AdsChannelOptions& options) {
  using std::chrono::milliseconds;
  grpc::ChannelArguments arguments;
  // A state-of-the-world CDS response grows with the mesh; gRPC would refuse it beyond 4 MiB.
  arguments.SetMaxReceiveMessageSize(options.maxResponseBytes);
  arguments.SetInt(
      GRPC_ARG_KEEPALIVE_TIME_MS,
      static_cast<int>(std::chrono::duration_cast<milliseconds>(options.keepalive).count()));
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMillis);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kConnectTimeoutMillis);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  // As in Envoy: a proxy in the environment is for web traffic, not for the control plane.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  if (!options.authority.empty()) {
    arguments.SetString(GRPC_ARG_DEFAULT_AUTHORITY, options.authority);
    if (options.tls) arguments.SetSslTargetNameOverride(options.authority);
  }
  return arguments;
}

}  // namespace

Result<AdsConnection> makeAdsConnection(const AdsChannelOptions& options) {
  AdsConnection connection;
  if (!options.tokenPath.empty()) {
    // gRPC aborts the process when a header has a character that is not allowed.
    auto token = readToken(options.tokenPath);
    if (!token) return token.error();
    connection.metadata.emplace_back("authorization", "Bearer " + *token);
  }
  if (!options.clusterId.empty()) {
    connection.metadata.emplace_back("clusterid", options.clusterId);
  }
  auto credentials = credentialsOf(options);
  if (!credentials) return credentials.error();
  connection.channel =
      grpc::CreateCustomChannel(options.target, *credentials, argumentsOf(options));
  return connection;
}

}  // namespace sockmesh
