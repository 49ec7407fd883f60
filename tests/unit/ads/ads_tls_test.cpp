// SPDX-License-Identifier: Apache-2.0
// The connection itself: TLS, certificates and tokens that are replaced, headers.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "ads_client_fixture.h"
#include "support/certificates.h"

namespace sockmesh {
namespace {

using test::CertificateAuthority;
using test::CertificateFiles;
using test::contentOf;
using testing::AdsClientTest;
using testing::ScriptedAdsServer;

class AdsTls : public AdsClientTest {
 protected:
  AdsTls() {
    folder_ = ::testing::TempDir() + "sockmesh-tls-XXXXXX";
    EXPECT_NE(mkdtemp(folder_.data()), nullptr);
    authority_ = std::make_unique<CertificateAuthority>(folder_, "ca");
  }
  ~AdsTls() override { std::filesystem::remove_all(folder_); }

  static std::shared_ptr<grpc::ServerCredentials> serverSide(const CertificateFiles& files,
                                                             const std::string& clientRoot = "") {
    grpc::SslServerCredentialsOptions options(
        clientRoot.empty() ? GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE
                           : GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
    options.pem_key_cert_pairs.push_back({contentOf(files.key), contentOf(files.certificate)});
    if (!clientRoot.empty()) options.pem_root_certs = contentOf(clientRoot);
    return grpc::SslServerCredentials(options);
  }
  // As a projected volume does: the new content is there at once.
  void put(const std::string& name, const std::string& content) const {
    std::ofstream(folder_ + "/.new") << content;
    std::filesystem::rename(folder_ + "/.new", folder_ + "/" + name);
  }
  XdsStats failure() {
    return stats([](const XdsStats& s) { return !s.lastError.empty(); });
  }

  std::string folder_;
  std::unique_ptr<CertificateAuthority> authority_;
};

TEST_F(AdsTls, TheServersCertificateIsChecked) {
  ScriptedAdsServer server(0, serverSide(authority_->sign("server", "IP:127.0.0.1")));
  options_.channel.tls = AdsTlsFiles{.roots = authority_->root(), .certificate = "", .key = ""};
  startClient(server.address());
  const auto stream = server.stream();
  ASSERT_TRUE(stream);
  bringUp(*stream);
  EXPECT_TRUE(snapshot([](const Snapshot& s) { return s.complete; }));
}

TEST_F(AdsTls, ACertificateOfAnotherAuthorityIsRefusedUntilTheRootIsReplaced) {
  const CertificateAuthority other(folder_, "other");
  ScriptedAdsServer server(0, serverSide(authority_->sign("server", "IP:127.0.0.1")));
  put("root.pem", contentOf(other.root()));
  options_.channel.tls = AdsTlsFiles{.roots = folder_ + "/root.pem", .certificate = "", .key = ""};
  startClient(server.address());
  const XdsStats refused = failure();
  EXPECT_FALSE(refused.connected);
  EXPECT_NE(refused.lastError.find("UNAVAILABLE"), std::string::npos) << refused.lastError;
  put("root.pem", contentOf(authority_->root()));
  const auto stream = server.stream();
  ASSERT_TRUE(stream) << "the new root is used without a restart";
  bringUp(*stream);
}

TEST_F(AdsTls, ACertificateForAnotherNameIsRefused) {
  ScriptedAdsServer server(0, serverSide(authority_->sign("server", "DNS:istiod.test")));
  options_.channel.tls = AdsTlsFiles{.roots = authority_->root(), .certificate = "", .key = ""};
  startClient(server.address());
  EXPECT_NE(failure().lastError.find("UNAVAILABLE"), std::string::npos);
}

TEST_F(AdsTls, TheAuthorityIsTheNameThatTheCertificateHasToHold) {
  ScriptedAdsServer server(0, serverSide(authority_->sign("server", "DNS:istiod.test")));
  options_.channel.tls = AdsTlsFiles{.roots = authority_->root(), .certificate = "", .key = ""};
  options_.channel.authority = "istiod.test";
  startClient(server.address());
  const auto stream = server.stream();
  ASSERT_TRUE(stream);
  EXPECT_EQ(stream->authority(), "istiod.test");
}

TEST_F(AdsTls, AClientShowsItsCertificateAndTakesAReplacedOne) {
  ScriptedAdsServer server(
      0, serverSide(authority_->sign("server", "IP:127.0.0.1"), authority_->root()));
  const auto install = [this](const CertificateFiles& files) {
    put("cert.pem", contentOf(files.certificate));
    put("key.pem", contentOf(files.key));
  };
  install(authority_->sign("agent-one", "URI:spiffe://mesh/one"));
  options_.channel.tls = AdsTlsFiles{.roots = authority_->root(),
                                     .certificate = folder_ + "/cert.pem",
                                     .key = folder_ + "/key.pem"};
  startClient(server.address());
  const auto first = server.stream();
  ASSERT_TRUE(first);
  EXPECT_EQ(first->clientName(), "agent-one");
  install(authority_->sign("agent-two", "URI:spiffe://mesh/two"));
  first->finish(grpc::Status::OK);
  const auto second = server.stream();
  ASSERT_TRUE(second);
  EXPECT_EQ(second->clientName(), "agent-two");
}

TEST_F(AdsTls, EachStreamCarriesTheTokenThatTheFileHoldsThen) {
  ScriptedAdsServer server(0, serverSide(authority_->sign("server", "IP:127.0.0.1")));
  put("token", "first.token\n");
  options_.channel.tls = AdsTlsFiles{.roots = authority_->root(), .certificate = "", .key = ""};
  options_.channel.tokenPath = folder_ + "/token";
  options_.channel.clusterId = "Kubernetes";
  startClient(server.address());
  const auto first = server.stream();
  ASSERT_TRUE(first);
  EXPECT_EQ(first->header("authorization"), "Bearer first.token");
  EXPECT_EQ(first->header("clusterid"), "Kubernetes");
  put("token", "second.token");
  first->finish({grpc::StatusCode::UNAUTHENTICATED, "token expired"});
  const auto second = server.stream();
  ASSERT_TRUE(second);
  EXPECT_EQ(second->header("authorization"), "Bearer second.token");
}

TEST_F(AdsTls, AFileThatIsMissingOrWrongIsNamedAndTriedAgain) {
  ScriptedAdsServer server(0, serverSide(authority_->sign("server", "IP:127.0.0.1")));
  options_.channel.tls = AdsTlsFiles{.roots = authority_->root(), .certificate = "", .key = ""};
  options_.channel.tokenPath = folder_ + "/token";
  const auto says = [this](const std::string& what) {
    const std::string wanted = folder_ + "/token: " + what;
    stats([&](const XdsStats& s) { return s.lastError.find(wanted) != std::string::npos; });
  };
  startClient(server.address());
  says("No such file or directory");
  put("token", " \n");
  says("is empty");
  put("token", "a\nb");
  says("is not a token");
  put("token", "good");
  const auto stream = server.stream();
  ASSERT_TRUE(stream);
  EXPECT_EQ(stream->header("authorization"), "Bearer good");
}

}  // namespace
}  // namespace sockmesh
