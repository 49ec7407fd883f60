// SPDX-License-Identifier: Apache-2.0
#include "resource_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <ctime>
#include <fstream>
#include <functional>

#include "decode/type_urls.h"
#include "resources.h"

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
  EXPECT_THAT(all, HasSubstr("a.yaml: line 1: neither a resource nor a list"));
  EXPECT_THAT(all, HasSubstr("b.yaml: line "));
  EXPECT_THAT(all, HasSubstr("c.yaml: line 1: neither \"@type\" nor \"resources\""));
  EXPECT_THAT(all, HasSubstr("d.yaml: [0]: "));
  EXPECT_THAT(all, HasSubstr("example.Unknown"));
  EXPECT_THAT(all, HasSubstr("e.pb: not a serialized"));
  EXPECT_THAT(all, HasSubstr("f.yaml: name: must not be empty"));
}

// Other documents in place of a resource are recognised, and the error says what to do.
TEST_F(ResourceFolderTest, DocumentsOfOtherKindsAreNamed) {
  write("bootstrap.yaml", R"(node: { id: x }
static_resources: { clusters: [] }
)");
  write("dump.json",
        R"({"configs": [{"@type": "type.googleapis.com/envoy.admin.v3.ClustersDump"}]})");
  write("istio.yaml", std::string(kClusterA) + R"(---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: reviews }
)");
  write("service.yaml", "apiVersion: v1\nkind: Service\n");
  write("sockmeshd.yaml", "ads: { address: 'istiod:15010' }\n");
  write("untyped.yaml", "name: b\nconnect_timeout: 1s\nlb_policy: RANDOM\n");
  write("list.yaml", "- cluster_name: c\n  endpoints: []\n");
  const std::string all = error();
  for (const char* line :
       {"bootstrap.yaml: line 1: neither \"@type\" nor \"resources\" is there: this is an Envoy "
        "bootstrap; what its static_resources hold is served when each",
        "dump.json: line 1: neither \"@type\" nor \"resources\" is there: this is an Envoy config "
        "dump",
        "istio.yaml: line 4: neither \"@type\" nor \"resources\" is there: this is an Istio object "
        "(networking.istio.io/v1 DestinationRule), which istiod makes xDS resources of",
        "service.yaml: line 1: neither \"@type\" nor \"resources\" is there: this is a Kubernetes "
        "object (v1 Service), not an xDS resource",
        "sockmeshd.yaml: line 1: neither \"@type\" nor \"resources\" is there: this is a "
        "configuration of sockmeshd",
        "untyped.yaml: line 1: neither \"@type\" nor \"resources\" is there: this is a Cluster "
        "without its @type: add \"@type\": type.googleapis.com/envoy.config.cluster.v3.Cluster",
        "list.yaml: [0]: line 1: needs an @type: this is a ClusterLoadAssignment without its "
        "@type"}) {
    EXPECT_THAT(all, HasSubstr(line));
  }
}

TEST_F(ResourceFolderTest, TypesOfVersionTwoAreAnsweredWithThoseOfVersionThree) {
  write("a.yaml", R"("@type": type.googleapis.com/envoy.api.v2.Cluster
name: a
)");
  write("b.yaml", R"("@type": type.googleapis.com/envoy.config.listener.v3.Listener
name: b
filter_chains:
- filters:
  - name: envoy.tcp_proxy
    typed_config: { "@type": type.googleapis.com/envoy.config.filter.network.tcp_proxy.v2.TcpProxy }
)");
  envoy::service::discovery::v3::DiscoveryResponse response;
  response.add_resources()->set_type_url("type.googleapis.com/envoy.api.v2.Listener");
  EXPECT_THAT(error(), HasSubstr("a.yaml: line 1: @type: 'envoy.api.v2.Cluster' is no message type "
                                 "known here: xDS v2 is not spoken, the v3 type is "
                                 "envoy.config.cluster.v3.Cluster"));
  EXPECT_THAT(error(), HasSubstr("the v3 type is "
                                 "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"));
  fs::remove(folder_ / "a.yaml");
  fs::remove(folder_ / "b.yaml");
  write("c.pb", response.SerializeAsString());
  EXPECT_THAT(loadFolder(folder_)->passedOver[0],
              HasSubstr("the v3 type is envoy.config.listener.v3.Listener"));
}

TEST_F(ResourceFolderTest, ErrorsShowWhatTheyQuoteAndAreALineEach) {
  write("a\x1b[2J.yaml", "\"k\\nforged: x\": 1\n\"@type\": x\n");
  EXPECT_EQ(error(),
            "a\\x1b[2J.yaml: line 2: @type: 'x' (a string) does not begin with "
            "type.googleapis.com/");
  write("b.yaml", std::string(kClusterA) + "\"k\\nforged\": 1\n");
  EXPECT_THAT(error(), HasSubstr("b.yaml: line 3: k\\nforged: no such field"));
}

// Measured as CPU time of one thread, so that other work on the machine does not count.
double secondsToLoad(const fs::path& folder) {
  const auto now = [] {
    timespec time{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
  };
  const double from = now();
  [[maybe_unused]] const auto loaded = loadFolder(folder);
  return now() - from;
}

// Four times the text may take four times as long, and not sixteen times.
TEST_F(ResourceFolderTest, TimeGrowsWithTheTextWhateverItHolds) {
  const auto repeat = [](int count, const std::function<std::string(const std::string&)>& line) {
    std::string text;
    for (int i = 0; i < count; ++i) text += line(std::to_string(i));
    return text;
  };
  using Line = std::function<std::string(const std::string&)>;
  const std::string metadata = std::string(kClusterA) + "metadata:\n  filter_metadata:\n    x:\n";
  struct Shape {
    const char* what;
    std::string head;
    Line line;
    std::string tail;
  };
  const std::string type = "\"@type\": type.googleapis.com/envoy.config.cluster.v3.Cluster\n";
  for (const Shape& shape : std::vector<Shape>{
           {"a map", "", [](auto i) { return "k" + i + ": v\n"; }, ""},
           {"a map of unknown fields", kClusterA, [](auto i) { return "k" + i + ": v\n"; }, ""},
           {"a map in a struct", metadata, [](auto i) { return "      k" + i + ": v\n"; }, ""},
           {"a map in one line", "{", [](auto i) { return "k" + i + ": v, "; }, "}"},
           {"a map in JSON", "{", [](auto i) { return "\"k" + i + "\": 1,\n"; }, "\"z\": 1}"},
           {"a key twice", metadata, [](auto) { return "      k: v\n"; }, ""},
           {"a list", "", [&](auto i) { return "- " + type + "  name: c" + i + "\n"; }, ""},
           {"documents", "", [&](auto i) { return "---\n" + type + "name: c" + i + "\n"; }, ""},
           {"resources", "resources:\n",
            [&](auto i) { return "- " + type + "  name: c" + i + "\n"; }, ""},
           {"anchors", metadata, [](auto i) { return "      k" + i + ": &a" + i + " v\n"; }, ""}}) {
    const auto load = [&](int count) {
      write("a.yaml", shape.head + repeat(count, shape.line) + shape.tail);
      return secondsToLoad(folder_);
    };
    const double few = std::min(load(5'000), load(5'000));
    EXPECT_LT(load(20'000), 9 * few + 0.05) << shape.what;
  }
}

TEST_F(ResourceFolderTest, FourHundredThousandKeysAreNoTrouble) {
  std::string text = std::string(kClusterA) + "metadata:\n  filter_metadata:\n    x:\n";
  for (int i = 0; i < 400'000; ++i) text += "      key-" + std::to_string(i) + ": v\n";
  write("a.yaml", text);
  EXPECT_LT(secondsToLoad(folder_), 30);
  text = R"({"@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster", "name": "a",)"
         R"("metadata": {"filter_metadata": {"x": {"key": "v")";
  for (int i = 0; i < 400'000; ++i) text += ", \"key-" + std::to_string(i) + "\": \"v\"";
  write("a.yaml", text + "}}}}");
  EXPECT_LT(secondsToLoad(folder_), 30);
}

TEST_F(ResourceFolderTest, DepthAndAliasesAreBoundedWithALine) {
  write("a.yaml", "a: " + std::string(100'000, '[') + std::string(100'000, ']'));
  EXPECT_THAT(error(), HasSubstr("a.yaml: line 1: nested more than 100 deep"));
  std::string blocks;
  for (int i = 0; i < 1'000; ++i) blocks += std::string(i, ' ') + "k:\n";
  write("a.yaml", blocks);
  EXPECT_THAT(error(), HasSubstr("a.yaml: line 101: nested more than 100 deep"));
  std::string json;
  for (int i = 0; i < 100'000; ++i) json += "{\"a\":\n";
  write("a.yaml", json);
  EXPECT_THAT(error(), HasSubstr("a.yaml: line 101: nested more than 100 deep"));
  std::string laughs = "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]\n";
  for (int i = 1; i < 12; ++i) {
    const std::string one = "*a" + std::to_string(i - 1);
    laughs += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + one;
    for (int n = 0; n < 9; ++n) laughs += ", " + one;
    laughs += "]\n";
  }
  write("a.yaml", laughs);
  EXPECT_THAT(error(), HasSubstr("a.yaml: line 6: aliases add more than 1000000 values"));
  std::string long_ = "a: &a " + std::string(1'000'000, 'x') + "\n";
  for (int i = 0; i < 1'000; ++i) long_ += "k" + std::to_string(i) + ": *a\n";
  write("a.yaml", long_);
  EXPECT_THAT(error(),
              HasSubstr("a.yaml: line 69: aliases add more than 1000000 values or 64 MiB"));
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
