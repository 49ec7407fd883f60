// SPDX-License-Identifier: Apache-2.0
// Files with resources, replaced by moves.
#include "sources/file_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include "base/loop_thread.h"
#include "decode/type_urls.h"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/service/discovery/v3/discovery.pb.h"

namespace sockmesh {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

class FileSourceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "sockmesh-files-XXXXXX";
    folder_ = mkdtemp(pattern.data());
  }
  void TearDown() override {
    thread_->stop();
    fs::remove_all(folder_);
  }

  std::string path(const std::string& name) const { return folder_ + "/" + name; }
  // Whole, by a move.
  void put(const std::string& name, const std::string& text) const {
    std::ofstream(path(".new")) << text;
    fs::rename(path(".new"), path(name));
  }
  static std::string cluster(const std::string& name, const std::string& edsPath) {
    return "- {\"@type\": type.googleapis.com/envoy.config.cluster.v3.Cluster, name: " + name +
           ", type: EDS, eds_cluster_config: {eds_config: {path_config_source: {path: '" + edsPath +
           "'}}}}\n";
  }
  static std::string endpoints(const std::string& cluster, int port) {
    return "- {\"@type\": type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment, "
           "cluster_name: " +
           cluster +
           ", endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: "
           "10.0.0.1, port_value: " +
           std::to_string(port) + "}}}}]}]}\n";
  }
  void begin(std::vector<std::string> lists) {
    FileSource::Options options;
    for (const std::string& one : lists) {
      options.lists.push_back({findResourceType(kClusterType), path(one)});
    }
    options.alone = true;
    thread_->run([&] {
      source_ = std::move(FileSource::create(thread_->loop(), store_, std::move(options), [this] {
                  ++news_;
                })).value();
      source_->begin();
    });
  }
  bool sync() {
    bool changed = false;
    thread_->run([&] { changed = source_->sync(); });
    return changed;
  }
  // Waits until moves are reported that lead to `condition`.
  template <typename Condition>
  bool becomes(Condition condition) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!condition()) {
      if (std::chrono::steady_clock::now() > until) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      sync();
    }
    return true;
  }
  // The port of the only endpoint of the cluster; 0: it has none.
  std::uint16_t portOf(const std::string& cluster) {
    const auto snapshot = store_.snapshot();
    const auto found = snapshot->clusters.find(cluster);
    if (found == snapshot->clusters.end()) return 0;
    const auto assignment = snapshot->assignmentOf(*found->second);
    if (!assignment || assignment->localities.empty()) return 0;
    return assignment->localities.front().endpoints.front().address.port;
  }

  std::string folder_;
  // Only its thread uses the store and the source, except between two calls of run().
  std::unique_ptr<LoopThread> thread_ = std::move(LoopThread::create()).value();
  ResourceStore store_;
  std::unique_ptr<FileSource> source_;
  std::atomic<int> news_{0};
};

TEST_F(FileSourceTest, ClustersAndTheirEndpointsComeFromFiles) {
  put("cds.yaml", "resources:\n" + cluster("a", path("eds.yaml")) + cluster("b", path("eds.yaml")));
  put("eds.yaml", "resources:\n" + endpoints("a", 1) + endpoints("b", 2) + endpoints("c", 3));
  begin({"cds.yaml"});
  EXPECT_TRUE(sync());
  EXPECT_EQ(portOf("a"), 1);
  EXPECT_EQ(portOf("b"), 2);
  EXPECT_TRUE(store_.snapshot()->complete);
  EXPECT_THAT(source_->problems(), IsEmpty());
  EXPECT_FALSE(sync()) << "nothing is new";
}

TEST_F(FileSourceTest, AMoveIsNoticed) {
  put("cds.yaml", "resources:\n" + cluster("a", path("eds.yaml")));
  put("eds.yaml", "resources:\n" + endpoints("a", 1));
  begin({"cds.yaml"});
  sync();
  put("eds.yaml", "resources:\n" + endpoints("a", 7));
  EXPECT_TRUE(becomes([&] { return portOf("a") == 7; }));
  EXPECT_GT(news_, 0) << "the client is told to look";
}

TEST_F(FileSourceTest, ABadFileIsNamedAndWhatItHadStays) {
  put("cds.yaml", "resources:\n" + cluster("a", path("eds.yaml")));
  put("eds.yaml", "resources:\n" + endpoints("a", 1));
  begin({"cds.yaml"});
  sync();
  put("eds.yaml", "resources:\n" + endpoints("a", 99000));
  EXPECT_TRUE(becomes([&] { return !source_->problems().empty(); }));
  EXPECT_THAT(source_->problems(),
              UnorderedElementsAre(
                  Pair(path("eds.yaml"),
                       HasSubstr("endpoints[0].lb_endpoints[0].endpoint.address.socket_address."
                                 "port_value"))));
  EXPECT_EQ(portOf("a"), 1);
  put("cds.yaml", "resources: [{no: type}]\n");
  EXPECT_TRUE(becomes([&] { return source_->problems().contains(path("cds.yaml")); }));
  EXPECT_THAT(source_->problems().at(path("cds.yaml")), HasSubstr("line 1"));
  EXPECT_EQ(portOf("a"), 1);
  put("cds.yaml", "resources:\n" + cluster("a", path("eds.yaml")));
  put("eds.yaml", "resources:\n" + endpoints("a", 2));
  EXPECT_TRUE(becomes([&] { return portOf("a") == 2 && source_->problems().empty(); }));
}

TEST_F(FileSourceTest, AFileThatIsNotThereYetIsWaitedFor) {
  begin({"later/cds.yaml"});
  sync();
  EXPECT_FALSE(store_.snapshot()->complete);
  EXPECT_THAT(source_->problems().at(path("later/cds.yaml")), HasSubstr("No such file"));
  fs::create_directory(path("staged"));
  put("staged/cds.yaml", "resources:\n" + cluster("a", path("later/eds.yaml")));
  put("staged/eds.yaml", "resources:\n" + endpoints("a", 4));
  fs::rename(path("staged"), path("later"));
  EXPECT_TRUE(becomes([&] { return portOf("a") == 4; }));
  EXPECT_TRUE(store_.snapshot()->complete);
}

// Kubernetes replaces the link ..data; the files are links through it.
// An agent that starts with a broken file must not take away what an earlier agent served of it.
TEST_F(FileSourceTest, WhatCouldNotBeReadIsUnknown) {
  const auto unknown = [&] {
    XdsStats stats;
    stats.types.emplace_back().type = "CDS";
    source_->addUnknown(stats);
    return stats.types.front();
  };
  put("cds.yaml", "resources: [{no: type}]\n");
  begin({"cds.yaml"});
  EXPECT_TRUE(unknown().unnamedRejected);
  put("cds.yaml", "resources:\n" + cluster("good", path("e")) + cluster("bad", "relative"));
  ASSERT_TRUE(becomes([&] { return !unknown().unnamedRejected; }));
  EXPECT_EQ(unknown().rejectedResources, std::vector<std::string>{"bad"});
  put("cds.yaml", "resources: []\n");
  EXPECT_TRUE(becomes([&] { return unknown().rejectedResources.empty(); }));
}

TEST_F(FileSourceTest, AConfigMapsLinkIsFollowed) {
  fs::create_directory(path("1"));
  fs::create_directory(path("2"));
  put("1/cds.yaml", "resources:\n" + cluster("old", path("e")));
  put("2/cds.yaml", "resources:\n" + cluster("new", path("e")));
  fs::create_symlink("1", path("..data"));
  fs::create_symlink("..data/cds.yaml", path("cds.yaml"));
  begin({"cds.yaml"});
  sync();
  ASSERT_TRUE(store_.snapshot()->clusters.contains("old"));
  fs::create_symlink("2", path("..tmp"));
  fs::rename(path("..tmp"), path("..data"));
  EXPECT_TRUE(becomes([&] { return store_.snapshot()->clusters.contains("new"); }));
  EXPECT_FALSE(store_.snapshot()->clusters.contains("old"));
}

TEST_F(FileSourceTest, EndpointsThatTheFileDoesNotHaveCountAsNone) {
  put("cds.yaml", "resources:\n" + cluster("a", path("eds.yaml")));
  put("eds.yaml", "resources:\n" + endpoints("other", 1));
  begin({"cds.yaml"});
  sync();
  const auto snapshot = store_.snapshot();
  const auto assignment = snapshot->assignmentOf(*snapshot->clusters.at("a"));
  ASSERT_TRUE(assignment);
  EXPECT_THAT(assignment->localities, IsEmpty());
}

TEST_F(FileSourceTest, ANameThatTheControlPlaneGivesUpIsTheFiles) {
  Update ads;
  ads.typeUrl = kClusterType;
  ads.stateOfTheWorld = true;
  envoy::config::cluster::v3::Cluster proto;
  proto.set_name("a");
  Envelope& one = ads.resources.emplace_back();
  one.typeUrl = kClusterType;
  one.bytes = proto.SerializeAsString();
  store_.apply(ads);
  put("cds.yaml", "resources:\n" + cluster("a", path("eds.yaml")));
  put("eds.yaml", "resources:\n" + endpoints("a", 1));
  begin({"cds.yaml"});
  EXPECT_EQ(source_->problems().at(path("cds.yaml")),
            "a: is already in the control plane's resources");
  ads.resources.clear();
  store_.apply(ads);
  EXPECT_TRUE(sync());
  EXPECT_EQ(portOf("a"), 1);
  EXPECT_THAT(source_->problems(), IsEmpty());
}

TEST_F(FileSourceTest, BytesAreReadToo) {
  envoy::service::discovery::v3::DiscoveryResponse response;
  envoy::config::cluster::v3::Cluster proto;
  proto.set_name("a");
  response.add_resources()->PackFrom(proto);
  put("cds.pb", response.SerializeAsString());
  begin({"cds.pb"});
  EXPECT_TRUE(store_.snapshot()->clusters.contains("a"));
  put("cds.pb", "\x01no");
  EXPECT_TRUE(becomes([&] { return source_->problems().contains(path("cds.pb")); }));
  EXPECT_THAT(source_->problems().at(path("cds.pb")), HasSubstr("is no serialized"));
}

}  // namespace
}  // namespace sockmesh
