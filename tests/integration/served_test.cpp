// SPDX-License-Identifier: Apache-2.0
// Pods that a running agent leaves alone, as they come and go, through restarts and its death.
#include "integration/served_mesh.h"

namespace sockmesh::test {
namespace {

TEST_F(ServedMesh, TheWholeNodeByDefault) {
  Pod& pod = makePod();
  makeCgroup("/pods");
  move(pod, "/pods");
  run("{}");
  EXPECT_EQ(wentTo(pod), "balanced");
}

TEST_F(ServedMesh, NamespacesComeAndGo) {
  Pod &out = makePod(), &other = makePod();
  name(other, "other");
  run("{leave_out: [{netns: '" + netns_ + "/out-*'}]}");
  EXPECT_EQ(wentTo(out), "balanced");
  name(out, "out-1");
  EXPECT_TRUE(becomes(out, "left alone")) << mesh_->agent().log();
  EXPECT_EQ(wentTo(other), "balanced");
  unname("out-1");
  EXPECT_TRUE(becomes(out, "balanced")) << mesh_->agent().log();
}

TEST_F(ServedMesh, CgroupsComeAndGo) {
  Pod &out = makePod(), &other = makePod();
  makeCgroup("/kubepods");
  run("{leave_out: [{cgroup: '/kubepods/*/pod-out*'}]}");
  for (const char* qos : {"/kubepods/burstable", "/kubepods/besteffort"}) {
    const std::string folder = qos;
    makeCgroup(folder);
    makeCgroup(folder + "/pod-out-1");
    makeCgroup(folder + "/pod-out-1/container");
    makeCgroup(folder + "/pod-other");
    move(out, folder + "/pod-out-1/container");
    move(other, folder + "/pod-other");
    EXPECT_TRUE(becomes(out, "left alone")) << mesh_->agent().log();
    EXPECT_EQ(wentTo(other), "balanced");
  }
  move(out, "/kubepods");
  EXPECT_EQ(wentTo(out), "balanced");
  // The same path again is another cgroup.
  removeCgroup(sandbox_->cgroup() + "/kubepods/burstable/pod-out-1/container");
  removeCgroup(sandbox_->cgroup() + "/kubepods/burstable/pod-out-1");
  ASSERT_EQ(mkdir((sandbox_->cgroup() + "/kubepods/burstable/pod-out-1").c_str(), 0755), 0);
  move(out, "/kubepods/burstable/pod-out-1");
  EXPECT_TRUE(becomes(out, "left alone")) << mesh_->agent().log();
}

TEST_F(ServedMesh, StaysLeftOutWhileTheAgentIsDeadAndWhenItReturns) {
  Pod &byNetns = makePod(), &byCgroup = makePod(), &other = makePod();
  name(byNetns, "out");
  makeCgroup("/out");
  move(byCgroup, "/out");
  const std::string served = "{leave_out: [{netns: '" + netns_ + "/out'}, {cgroup: '/out'}]}";
  run(served);
  const auto holds = [&] {
    return wentTo(byNetns) == "left alone" && wentTo(byCgroup) == "left alone" &&
           wentTo(other) == "balanced";
  };
  EXPECT_TRUE(holds());
  mesh_->killAgent();
  EXPECT_TRUE(holds());
  mesh_->startAgent(mesh_->agentConfig("served: " + served + "\n"));
  int connects = 0;
  while (mesh_->statusOf("/readyz") != 200 && connects < 1000) {
    ASSERT_TRUE(holds()) << connects;
    ++connects;
  }
  EXPECT_TRUE(holds()) << mesh_->agent().log();
}

TEST_F(ServedMesh, AnotherConfigurationTakesEffectWithTheNextAgent) {
  Pod &first = makePod(), &second = makePod();
  name(first, "first");
  name(second, "second");
  run("{leave_out: [{netns: '" + netns_ + "/first'}]}");
  EXPECT_EQ(wentTo(first), "left alone");
  mesh_->killAgent();
  run("{by_default: NONE, let_in: [{netns: '" + netns_ + "/*'}], leave_out: [{netns: '" + netns_ +
      "/second'}]}");
  EXPECT_EQ(wentTo(first), "balanced");
  EXPECT_EQ(wentTo(second), "left alone") << "what leaves out wins";
  EXPECT_EQ(wentTo(makePod()), "left alone");
  mesh_->killAgent();
  run("{}");
  EXPECT_EQ(wentTo(first), "balanced");
  EXPECT_EQ(wentTo(second), "balanced");
}

TEST_F(ServedMesh, APodWithASidecarIsLeftAloneAndNamed) {
  Pod &pod = makePod(), &other = makePod();
  std::vector<UniqueFd> sidecar;
  for (const char* address : {"0.0.0.0:15001", "0.0.0.0:15006"}) {
    sidecar.push_back(pod.socketInside(AF_INET, SOCK_STREAM));
    ASSERT_EQ(bindErrno(sidecar.back().get(), at(address)), 0);
    ASSERT_EQ(listen(sidecar.back().get(), 8), 0);
  }
  run("{}");
  EXPECT_EQ(wentTo(pod), "left alone");
  EXPECT_EQ(wentTo(other), "balanced");
  EXPECT_NE(mesh_->get("/metrics").find("sockmesh_left_alone_pods{reason=\"sidecar\"} 1"),
            std::string::npos);
  const Ran status = sockmesh::test::run({binary("sockmeshctl"), "status", "--bpffs-root",
                                          sandbox_->bpffs(), "--admin-address", "127.0.0.1:1"});
  EXPECT_NE(status.output.find("Pods left alone: 1 that connected to a VIP"), std::string::npos)
      << status.output;
  EXPECT_NE(status.output.find(sandbox_->cgroup()), std::string::npos) << status.output;
  mesh_->killAgent();
  run("{serve_sidecars: true}");
  EXPECT_EQ(wentTo(pod), "balanced");
}

}  // namespace
}  // namespace sockmesh::test
