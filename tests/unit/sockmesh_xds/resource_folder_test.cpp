#include "resource_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <fstream>

#include "resources.h"
#include "xds/type_urls.h"

namespace sockmesh {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr const char* kClusterA = R"("@type": type.googleapis.com/envoy.config.cluster.v3.Cluster
name: a
)";

class ResourceFolderTest : public ::testing::Test {
 protected:
  ResourceFolderTest() {
    std::string name = (fs::temp_directory_path() / "sockmesh-XXXXXX").native();
    folder_ = ::mkdtemp(name.data());
  }
  ~ResourceFolderTest() override { fs::remove_all(folder_); }

  void write(const fs::path& name, const std::string& text) const {
    fs::create_directories((folder_ / name).parent_path());
    std::ofstream(folder_ / name, std::ios::binary) << text;
  }

  std::vector<std::string> names(std::string_view type) const {
    const auto loaded = loadFolder(folder_);
    EXPECT_TRUE(loaded) << loaded.error().message();
    std::vector<std::string> all;
    if (!loaded) return all;
    for (const auto& [name, resource] : loaded->resources->ofType(std::string(type)))
      all.push_back(name);
    return all;
  }

  std::string error() const {
    const auto loaded = loadFolder(folder_);
    EXPECT_FALSE(loaded);
    return loaded ? "" : loaded.error().message();
  }

  fs::path folder_;
};

TEST_F(ResourceFolderTest, ResourcesOneByOneInListsAndInResponses) {
  write("one.yaml", kClusterA);
  write("list.json", R"([{"@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster",
                          "name": "b"}])");
  write("sub/response.yml", R"(version_info: "7"
resources:
- "@type": type.googleapis.com/envoy.config.cluster.v3.Cluster
  name: c
- "@type": type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment
  cluster_name: c
)");
  write("many.yaml",
        std::string("---\n") + R"("@type": type.googleapis.com/envoy.config.cluster.v3.Cluster
name: d
---
# nothing in this one
---
- "@type": type.googleapis.com/envoy.config.cluster.v3.Cluster
  name: e
)");
  EXPECT_THAT(names(kClusterType), ElementsAre("a", "b", "c", "d", "e"));
  EXPECT_THAT(names(kAssignmentType), ElementsAre("c"));
}

TEST_F(ResourceFolderTest, HiddenAndOtherFilesArePassedOver) {
  write("a.yaml", kClusterA);
  write(".a.yaml.swp", "not: ours");
  write("..data/a.yaml", kClusterA);
  write("README.md", "# text");
  write("a.yaml~", kClusterA);
  write("empty.yaml", "");
  EXPECT_THAT(names(kClusterType), ElementsAre("a"));
}

TEST_F(ResourceFolderTest, LinksIntoAConfigMapAreRead) {
  write("..2026_1/a.yaml", kClusterA);
  fs::create_directory_symlink("..2026_1", folder_ / "..data");
  fs::create_symlink("..data/a.yaml", folder_ / "a.yaml");
  EXPECT_THAT(names(kClusterType), ElementsAre("a"));
}

TEST_F(ResourceFolderTest, CapturedResponsesAreServedByteByByte) {
  envoy::service::discovery::v3::DiscoveryResponse response;
  response.set_type_url(std::string(kAssignmentType));
  *response.add_resources() = testing::assignment("a", 80);
  envoy::service::discovery::v3::Resource wrapper;
  wrapper.set_name("b");
  *wrapper.mutable_resource() = testing::assignment("b", 81);
  response.add_resources()->PackFrom(wrapper);
  write("eds.pb", response.SerializeAsString());
  const auto loaded = loadFolder(folder_);
  ASSERT_TRUE(loaded) << loaded.error().message();
  const auto& assignments = loaded->resources->ofType(std::string(kAssignmentType));
  ASSERT_EQ(assignments.size(), 2u);
  EXPECT_EQ(assignments.at("a")->any.value(), response.resources(0).value());
  EXPECT_EQ(assignments.at("b")->any.value(), response.resources(1).value());
}

TEST_F(ResourceFolderTest, ACaptureOfATypeThatIsNotKnownIsReportedAndTheOthersAreServed) {
  write("a.yaml", kClusterA);
  envoy::service::discovery::v3::DiscoveryResponse response;
  response.set_type_url("type.googleapis.com/example.Unknown");
  response.add_resources()->set_type_url("type.googleapis.com/example.Unknown");
  write("sub/unknown.pb", response.SerializeAsString());
  EXPECT_THAT(loadFolder(folder_)->passedOver,
              ElementsAre("sub/unknown.pb: resources[0]: unknown type "
                          "type.googleapis.com/example.Unknown"));
  EXPECT_THAT(names(kClusterType), ElementsAre("a"));
}

TEST_F(ResourceFolderTest, AMistakeIsNamedByFileLineAndField) {
  write("first.yaml", kClusterA);
  write("sub/wrong.yaml", std::string(kClusterA) + R"(---
resources:
- "@type": type.googleapis.com/envoy.config.cluster.v3.Cluster
  name: x
  conect_timeout: 5s
)");
  EXPECT_THAT(error(), HasSubstr("sub/wrong.yaml: line 7: resources[0].conect_timeout"));
}

TEST_F(ResourceFolderTest, AllMistakesAreListed) {
  write("a.yaml", "hello");
  write("b.yaml", "a: [");
  write("c.yaml", "some: thing");
  write("d.yaml", R"([{"@type": "type.googleapis.com/example.Unknown", "name": "x"}])");
  write("e.pb", "abc");
  write("f.yaml", R"("@type": type.googleapis.com/envoy.config.cluster.v3.Cluster)");
  const std::string all = error();
  EXPECT_THAT(all, HasSubstr("a.yaml: neither a resource nor a list"));
  EXPECT_THAT(all, HasSubstr("b.yaml: line "));
  EXPECT_THAT(all, HasSubstr("c.yaml: neither \"@type\" nor \"resources\""));
  EXPECT_THAT(all, HasSubstr("d.yaml: [0]: "));
  EXPECT_THAT(all, HasSubstr("example.Unknown"));
  EXPECT_THAT(all, HasSubstr("e.pb: not a serialized"));
  EXPECT_THAT(all, HasSubstr("f.yaml: name: must not be empty"));
}

TEST_F(ResourceFolderTest, ANameGivenTwiceNamesBothFiles) {
  write("one.yaml", kClusterA);
  write("two.yaml", kClusterA);
  EXPECT_THAT(error(), HasSubstr("one.yaml"));
  EXPECT_THAT(error(), HasSubstr("two.yaml"));
}

TEST_F(ResourceFolderTest, AFolderThatIsNotThereIsAnError) {
  EXPECT_FALSE(loadFolder(folder_ / "nowhere"));
}

}  // namespace
}  // namespace sockmesh
