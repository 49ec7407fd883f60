// SPDX-License-Identifier: Apache-2.0
// The agent and a control plane that both show certificates. The control plane gets another
// authority while the agent runs.
#include <gmock/gmock.h>

#include <filesystem>

#include "integration/mesh_test.h"
#include "support/certificates.h"

namespace sockmesh::test {
namespace {

using ::testing::HasSubstr;

class ControlPlaneTls : public MeshTest {
 protected:
  void SetUp() override {
    MeshTest::SetUp();
    folder_ = sandbox_->folder() + "/certificates";
    std::filesystem::create_directory(folder_);
  }

  // The control plane's authority and the agent's are the same.
  std::vector<std::string> serveWith(const CertificateAuthority& authority) const {
    const CertificateFiles server = authority.sign("server", "DNS:istiod.test");
    return {"--tls-cert", server.certificate, "--tls-key",
            server.key,   "--client-ca",      authority.root()};
  }
  void install(const std::string& from, const std::string& name) const {
    std::filesystem::copy(from, folder_ + "/.new",
                          std::filesystem::copy_options::overwrite_existing);
    std::filesystem::rename(folder_ + "/.new", folder_ + "/" + name);
  }
  void installAll(const CertificateAuthority& authority) const {
    const CertificateFiles agent = authority.sign("agent", "URI:spiffe://mesh/agent");
    install(authority.root(), "root.pem");
    install(agent.certificate, "cert.pem");
    install(agent.key, "key.pem");
  }
  std::vector<std::string> config() const {
    return mesh_->agentConfig("ads: {authority: istiod.test, tls: {root_path: " + folder_ +
                              "/root.pem, certificate_path: " + folder_ +
                              "/cert.pem, key_path: " + folder_ + "/key.pem}}");
  }

  std::string folder_;
};

TEST_F(ControlPlaneTls, AServiceComesOverTlsAlsoAfterTheAuthorityWasReplaced) {
  const CertificateAuthority first(folder_, "first");
  const CertificateAuthority second(folder_, "second");
  installAll(first);
  mesh_->serve("a.yaml", serviceYaml(kVip, "a", {hosts_[0]}));
  mesh_->startControlPlane(serveWith(first));
  mesh_->startAgent(config());
  ASSERT_TRUE(mesh_->ready()) << mesh_->agent().log() << mesh_->controlPlane().log();

  mesh_->stopControlPlane();
  mesh_->serve("b.yaml", serviceYaml("10.96.0.2:80", "b", {hosts_[1]}));
  mesh_->startControlPlane(serveWith(second));
  ASSERT_TRUE(mesh_->agent().awaitLog("UNAVAILABLE"));
  EXPECT_FALSE(mesh_->image().services.contains({at("10.96.0.2:80"), Protocol::kTcp}));
  installAll(second);
  EXPECT_TRUE(mesh_->awaitImage([](const KernelImage& image) {
    return image.services.contains({at("10.96.0.2:80"), Protocol::kTcp});
  })) << mesh_->agent().log();
}

TEST_F(ControlPlaneTls, AnAgentWithoutItsFilesSaysWhichAndConnectsOnceTheyAreThere) {
  const CertificateAuthority authority(folder_, "ca");
  mesh_->serve("a.yaml", serviceYaml(kVip, "a", {hosts_[0]}));
  mesh_->startControlPlane(serveWith(authority));
  mesh_->startAgent(config());
  ASSERT_TRUE(mesh_->agent().awaitLog(folder_ + "/root.pem: No such file or directory"));
  installAll(authority);
  EXPECT_TRUE(mesh_->ready()) << mesh_->agent().log();
}

}  // namespace
}  // namespace sockmesh::test
