// SPDX-License-Identifier: Apache-2.0
// Pods that a running agent leaves out or lets in by what the API server says of them.
#include <gmock/gmock.h>

#include "integration/served_mesh.h"
#include "support/fake_api_server.h"

namespace sockmesh::test {
namespace {

using ::testing::HasSubstr;
using Fault = FakeApiServer::Fault;

constexpr const char* kOutRule =
    "{leave_out: [{pods: {matchExpressions: [{key: mesh, operator: In, values: [off, never]}]}}]}";

class PodsMesh : public ServedMesh {
 protected:
  void SetUp() override {
    ServedMesh::SetUp();
    if (HasFatalFailure()) return;
    const std::string folder = sandbox_->folder() + "/api";
    ASSERT_EQ(mkdir(folder.c_str(), 0755), 0);
    const CertificateAuthority authority(folder, "ca");
    api_ = std::make_unique<FakeApiServer>(authority.sign("api", "IP:127.0.0.1"));
    std::ofstream(folder + "/token") << "token";
    settings_ = "kubernetes: {address: '" + api_->address() + "', token_path: " + folder +
                "/token, root_path: " + authority.root() + ", node_name: node-1}\n";
  }

  void startWith(const std::string& served) {
    mesh_->startAgent(mesh_->agentConfig("served: " + served + "\n" + settings_));
    ASSERT_TRUE(mesh_->ready()) << mesh_->agent().log();
    ASSERT_TRUE(mesh_->awaitImage([&](const KernelImage& image) {
      return image.services.contains({vip_, Protocol::kTcp});
    }));
  }
  bool watching() {
    return eventually(
        [&] { return mesh_->get("/metrics").find("sockmesh_pod_watch_up 1") != std::string::npos; },
        std::chrono::seconds(20));
  }
  // As a kubelet and a runtime do, with the cgroupfs driver.
  void placed(const Pod& pod, const std::string& uid) {
    for (const char* folder : {"/kubepods", "/kubepods/burstable"}) {
      if (access((sandbox_->cgroup() + folder).c_str(), F_OK) != 0) makeCgroup(folder);
    }
    makeCgroup("/kubepods/burstable/pod" + uid);
    makeCgroup("/kubepods/burstable/pod" + uid + "/container");
    move(pod, "/kubepods/burstable/pod" + uid + "/container");
  }

  std::unique_ptr<FakeApiServer> api_;
  std::string settings_;
};

TEST_F(PodsMesh, ALabelLeavesAPodOutAsLongAsThePodHasIt) {
  Pod &out = makePod(), &other = makePod();
  placed(out, "11-aa");
  placed(other, "22-bb");
  api_->put({"shop/out", "11-aa", {{"mesh", "off"}}});
  api_->put({"shop/other", "22-bb", {{"mesh", "on"}}});
  startWith(kOutRule);
  EXPECT_TRUE(becomes(out, "left alone")) << mesh_->agent().log();
  EXPECT_EQ(wentTo(other), "balanced");
  api_->put({"shop/out", "11-aa"});
  EXPECT_TRUE(becomes(out, "balanced")) << mesh_->agent().log();
  api_->put({"shop/other", "22-bb", {{"mesh", "never"}}});
  EXPECT_TRUE(becomes(other, "left alone")) << mesh_->agent().log();
  const std::string metrics = mesh_->get("/metrics");
  EXPECT_THAT(metrics, HasSubstr("sockmesh_pod_watch_up 1"));
  EXPECT_THAT(metrics, HasSubstr("sockmesh_pod_watch_pods{decision=\"left_out\"} 1"));
  EXPECT_THAT(metrics, HasSubstr("sockmesh_pod_watch_pods{decision=\"none\"} 1"));
  EXPECT_THAT(mesh_->get("/status"), HasSubstr("\"rule\": \"served.leave_out[0]\""));
  const Ran status =
      sockmesh::test::run({binary("sockmeshctl"), "status", "--bpffs-root", sandbox_->bpffs()});
  EXPECT_THAT(status.output, HasSubstr("shop/other"));
  EXPECT_THAT(status.output, HasSubstr("served.leave_out[0]"));
}

// The pod's folder comes after the API server's word of it, and systemd made the folder.
TEST_F(PodsMesh, WithTheDefaultNoneNamespacesAndAnnotationsLetIn) {
  Pod &in = makePod(), &annotated = makePod(), &other = makePod();
  startWith(
      "{by_default: NONE, let_in: [{pods: {namespaces: [shop]}}, {pods: {matchAnnotations: "
      "{example.com/mesh: 'yes, please'}}}]}");
  ASSERT_TRUE(watching()) << mesh_->agent().log();
  api_->put({"shop/in", "33-cc"});
  api_->put({"bank/annotated", "44-dd", {}, {{"example.com/mesh", "yes, please"}}});
  api_->put({"bank/other", "55-ee", {{"example.com/mesh", "yes"}}});
  makeCgroup("/kubepods.slice");
  makeCgroup("/kubepods.slice/kubepods-besteffort.slice");
  const auto place = [&](Pod& pod, const std::string& uid) {
    const std::string slice =
        "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod" + uid + ".slice";
    makeCgroup(slice);
    makeCgroup(slice + "/cri-containerd-0123.scope");
    move(pod, slice + "/cri-containerd-0123.scope");
  };
  place(in, "33_cc");
  place(annotated, "44_dd");
  place(other, "55_ee");
  EXPECT_TRUE(becomes(in, "balanced")) << mesh_->agent().log();
  EXPECT_TRUE(becomes(annotated, "balanced")) << mesh_->agent().log();
  EXPECT_EQ(wentTo(other), "left alone");
}

TEST_F(PodsMesh, WithoutTheApiServerWhatIsKnownStaysAlsoForTheNextAgent) {
  Pod &out = makePod(), &unknown = makePod();
  placed(out, "66-ff");
  api_->put({"shop/out", "66-ff", {{"mesh", "off"}}});
  startWith(kOutRule);
  ASSERT_TRUE(becomes(out, "left alone")) << mesh_->agent().log();
  api_->setFault(Fault::kUnavailable);
  api_->endWatches();
  ASSERT_TRUE(mesh_->agent().awaitLog("HTTP 503"));
  EXPECT_EQ(wentTo(out), "left alone");
  EXPECT_THAT(mesh_->get("/metrics"), HasSubstr("sockmesh_pod_watch_up 0"));
  mesh_->killAgent();
  EXPECT_EQ(wentTo(out), "left alone") << "without an agent";
  startWith(kOutRule);
  EXPECT_EQ(mesh_->statusOf("/readyz"), 200) << "the API server is no reason not to be ready";
  EXPECT_THAT(mesh_->get("/readyz"), HasSubstr("rules by pods wait for the API server"));
  placed(unknown, "77-aa");
  EXPECT_EQ(wentTo(out), "left alone") << "an earlier agent knew it";
  EXPECT_EQ(wentTo(unknown), "balanced") << "the default";
  // The label went while nobody could hear of it.
  api_->put({"shop/out", "66-ff"});
  api_->put({"shop/unknown", "77-aa", {{"mesh", "off"}}});
  api_->setFault(Fault::kNone);
  EXPECT_TRUE(becomes(out, "balanced")) << mesh_->agent().log();
  EXPECT_TRUE(becomes(unknown, "left alone")) << mesh_->agent().log();
}

// Its containers may take a while to end.
TEST_F(PodsMesh, APodThatTheApiServerForgotKeepsItsRuleUntilItsCgroupIsGone) {
  Pod& out = makePod();
  placed(out, "88-bb");
  api_->put({"shop/out", "88-bb", {{"mesh", "off"}}});
  startWith(kOutRule);
  ASSERT_TRUE(becomes(out, "left alone")) << mesh_->agent().log();
  api_->erase("shop/out");
  ASSERT_TRUE(eventually(
      [&] {
        return mesh_->get("/metrics").find("sockmesh_pod_watch_pods{decision=\"left_out\"} 0") !=
               std::string::npos;
      },
      std::chrono::seconds(20)));
  EXPECT_EQ(wentTo(out), "left alone");
}

TEST_F(PodsMesh, AnApiServerThatTheMapsLeadAstrayIsReachedAllTheSame) {
  mesh_->serve("trap.yaml", serviceYaml(api_->address(), "trap", {"127.0.0.1:1"}));
  mesh_->startAgent(mesh_->agentConfig("served: {}\n"));
  ASSERT_TRUE(mesh_->ready()) << mesh_->agent().log();
  ASSERT_TRUE(mesh_->awaitImage([&](const KernelImage& image) {
    return image.services.contains({at(api_->address()), Protocol::kTcp});
  }));
  EXPECT_FALSE(connectTo(at(api_->address()))) << "everybody else is sent to the endpoint";
  mesh_->killAgent();
  startWith(kOutRule);
  EXPECT_TRUE(watching()) << mesh_->agent().log();
}

}  // namespace
}  // namespace sockmesh::test
