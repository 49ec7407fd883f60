// SPDX-License-Identifier: Apache-2.0
// Resources of the control plane, of files and of the configuration in one store.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "decode/decode.h"
#include "decode/file_names.h"
#include "unit/decode/resources.h"
#include "unit/decode/text_proto.h"
#include "unit/store/missing.h"

namespace sockmesh {
namespace {

using namespace xds_test;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class Sources : public ::testing::Test {
 protected:
  ApplyResult from(ResourceSource source, const DiscoveryResponse& response) {
    return store_.apply(updateOf(response), Nanos(0), source);
  }
  ApplyResult ads(const DiscoveryResponse& response) {
    return from(ResourceSource::kControlPlane, response);
  }
  std::vector<std::string> clusters() { return namesOf(store_.snapshot()->clusters); }

  ResourceStore store_;
};

TEST_F(Sources, EachListIsOfItsOwnSource) {
  EXPECT_TRUE(from(ResourceSource::kStatic, cds(edsCluster("static"))).ok());
  EXPECT_TRUE(from(ResourceSource::kFile, cds(edsCluster("file"))).ok());
  EXPECT_TRUE(ads(cds(edsCluster("a"), edsCluster("b"))).ok());
  EXPECT_THAT(clusters(), ElementsAre("a", "b", "file", "static"));
  ads(cds(edsCluster("b")));
  EXPECT_THAT(clusters(), ElementsAre("b", "file", "static"));
  from(ResourceSource::kFile, cds());
  EXPECT_THAT(clusters(), ElementsAre("b", "static"));
}

TEST_F(Sources, ANameBelongsToTheSourceThatHadItFirst) {
  from(ResourceSource::kStatic, cds(edsCluster("x", 7)));
  const ApplyResult second = ads(cds(edsCluster("x", 9), edsCluster("y")));
  EXPECT_EQ(second.message(), "x: is already in local_resources");
  EXPECT_TRUE(second.contested);
  EXPECT_THAT(clusters(), ElementsAre("x", "y")) << "what is good beside it is used";
  EXPECT_EQ(store_.snapshot()->clusters.at("x")->connectTimeout, std::chrono::seconds(7));

  EXPECT_EQ(from(ResourceSource::kFile, cds(edsCluster("y"))).message(),
            "y: is already in the control plane's resources");
  ads(cds());
  EXPECT_TRUE(from(ResourceSource::kFile, cds(edsCluster("y"))).ok()) << "it was given up";
}

TEST_F(Sources, DeltaRemovesOnlyWhatTheControlPlaneSent) {
  from(ResourceSource::kStatic, cds(edsCluster("x")));
  envoy::service::discovery::v3::DeltaDiscoveryResponse gone;
  gone.set_type_url(std::string(kClusterType));
  gone.add_removed_resources("x");
  EXPECT_TRUE(store_.apply(updateOf(gone)).ok());
  EXPECT_THAT(clusters(), ElementsAre("x"));
}

// Otherwise a server would be told of versions that it never sent.
TEST_F(Sources, TheControlPlaneIsToldOnlyOfItsOwn) {
  from(ResourceSource::kStatic, cds(edsCluster("x")));
  ads(cds(edsCluster("y")));
  EXPECT_THAT(namesOf(store_.versions(*findResourceType(kClusterType))), ElementsAre("y"));
}

TEST_F(Sources, UnknownIsNotAbsentUntilTheControlPlaneHasSpoken) {
  from(ResourceSource::kStatic, cds(edsCluster("x")));
  from(ResourceSource::kStatic, lds(listener("l")));
  EXPECT_FALSE(store_.snapshot()->complete);
  EXPECT_FALSE(store_.snapshot()->clustersListed);
  ads(cds());
  ads(lds());
  EXPECT_TRUE(store_.snapshot()->complete);
  EXPECT_TRUE(store_.snapshot()->clustersListed);
}

TEST_F(Sources, WithoutAControlPlaneTheOthersAreAllThereIs) {
  from(ResourceSource::kStatic, lds(listener("l")));
  EXPECT_TRUE(store_.closeLists());
  EXPECT_TRUE(store_.snapshot()->complete);
  EXPECT_TRUE(store_.snapshot()->clustersListed);
  EXPECT_FALSE(store_.closeLists()) << "no news";
}

ClusterProto withFile(const std::string& name, const std::string& path) {
  ClusterProto cluster = edsCluster(name);
  cluster.mutable_eds_cluster_config()
      ->mutable_eds_config()
      ->mutable_path_config_source()
      ->set_path(path);
  return cluster;
}

TEST_F(Sources, EndpointsOfFilesAreNotTheControlPlanes) {
  ads(cds(withFile("a", "/f.yaml"), edsCluster("b")));
  EXPECT_THAT(store_.wanted(edsType()), ElementsAre("b"));
  EXPECT_THAT(store_.wantedOfFiles(edsType()), ElementsAre("a in /f.yaml"));

  DiscoveryResponse named;
  named.set_type_url(std::string(kAssignmentType));
  named.add_resources()->PackFrom(wrap("a in /f.yaml", assignment("a", 1)));
  ads(named);
  ads(eds(assignment("a", 2)));
  EXPECT_THAT(store_.snapshot()->assignments, IsEmpty()) << "neither was asked of it";

  from(ResourceSource::kFile, named);
  ASSERT_THAT(namesOf(store_.snapshot()->assignments), ElementsAre("a in /f.yaml"));
  EXPECT_TRUE(store_.hasArrived(endpointsOf("a in /f.yaml")));
  EXPECT_THAT(namesOf(store_.versions(edsType())), IsEmpty());
}

TEST(FileNames, AreToldFromTheControlPlanes) {
  EXPECT_EQ(nameInFile("a", "/b/c"), "a in /b/c");
  EXPECT_EQ(fileResource("a in /b/c")->name, "a");
  EXPECT_EQ(fileResource("a in /b/c")->path, "/b/c");
  EXPECT_EQ(fileResource("a in /b in /c")->name, "a in /b");
  EXPECT_FALSE(fileResource("outbound|80||a.b.svc"));
}

TEST(FileNames, WrongSourcesAreNamedWithTheirField) {
  const auto error = [](const std::string& source, const std::string& name = "c") {
    auto cluster = edsCluster(name);
    *cluster.mutable_eds_cluster_config()->mutable_eds_config() =
        parseText<envoy::config::core::v3::ConfigSource>(source);
    return errorOf(decodeCluster(cluster));
  };
  const std::string at = "eds_cluster_config.eds_config.";
  EXPECT_EQ(error("path_config_source { path: '/x' watched_directory { path: '/' } }"), "");
  EXPECT_EQ(error("path_config_source { path: '/d/x' watched_directory { path: '/d' } }"), "");
  EXPECT_EQ(error("path: '/d/x'"), "");
  EXPECT_EQ(error("path_config_source { path: 'x' }"),
            at + "path_config_source.path: \"x\" is no absolute path");
  EXPECT_EQ(error("path_config_source { path: '/a in /b' }"),
            at + "path_config_source.path: must not contain \" in /\"");
  EXPECT_THAT(error("path_config_source { path: '/d/x' watched_directory { path: '/e' } }"),
              HasSubstr("watched_directory.path: \"/e\" is not the directory of the path"));
  EXPECT_EQ(error("api_config_source {}"),
            at + "api_config_source: is not supported; use ads or path_config_source");
  EXPECT_EQ(error("ads {}", "a in /b"),
            "eds_cluster_config.eds_config: its name must not contain \" in /\"");
}

}  // namespace
}  // namespace sockmesh
