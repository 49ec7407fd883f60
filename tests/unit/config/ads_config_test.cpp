// SPDX-License-Identifier: Apache-2.0
#include "config/ads_config.h"

#include <gtest/gtest.h>

#include "protojson/yaml_json.h"

namespace sockmesh {
namespace {

struct Taken {
  AdsChannelOptions options;
  std::string error;  // "" where there is none
};

Taken take(const std::string& yaml, const envoy::config::core::v3::Node& node = {}) {
  sockmesh::config::v1::Ads proto;
  const auto parsed = parseYamlOrJson(yaml, proto);
  EXPECT_TRUE(parsed) << parsed.error().message();
  FieldErrors errors;
  Taken taken{takeAds(proto, node, errors), ""};
  if (!errors.empty()) taken.error = errors.error().message();
  return taken;
}

TEST(AdsConfig, PlaintextIsTheDefault) {
  const Taken taken = take("address: 'istiod:15010'");
  EXPECT_EQ(taken.error, "");
  EXPECT_EQ(taken.options.target, "istiod:15010");
  EXPECT_FALSE(taken.options.tls.has_value());
  EXPECT_EQ(taken.options.clusterId, "");
  EXPECT_EQ(taken.options.keepalive, std::chrono::seconds(30));
}

TEST(AdsConfig, WhatIstiodsSecurePortNeeds) {
  envoy::config::core::v3::Node node;
  (*node.mutable_metadata()->mutable_fields())["CLUSTER_ID"].set_string_value("Kubernetes");
  const Taken taken = take(
      "{address: 'istiod:15012', tls: {root_path: /r}, token_path: /t, authority: istiod.other, "
      "keepalive_interval: 15s}",
      node);
  EXPECT_EQ(taken.error, "");
  ASSERT_TRUE(taken.options.tls.has_value());
  EXPECT_EQ(taken.options.tls->roots, "/r");
  EXPECT_EQ(taken.options.tokenPath, "/t");
  EXPECT_EQ(taken.options.clusterId, "Kubernetes") << "goes with the token";
  EXPECT_EQ(taken.options.authority, "istiod.other");
  EXPECT_EQ(taken.options.keepalive, std::chrono::seconds(15));
}

TEST(AdsConfig, WhatIsWrongIsNamed) {
  EXPECT_EQ(take("token_path: /t").error.find("ads.token_path: needs ads.tls"), 0U);
  EXPECT_EQ(take("tls: {certificate_path: /c}").error.find("ads.tls.key_path: is needed too"), 0U);
  EXPECT_EQ(take("tls: {key_path: /k}").error.find("ads.tls.certificate_path: is needed too"), 0U);
  for (const char* text : {"14.999s", "0s", "-1s", "86401s"}) {
    EXPECT_EQ(take("keepalive_interval: " + std::string(text)).error,
              "ads.keepalive_interval: must be between 15s and 86400s")
        << text;
  }
  EXPECT_EQ(take("authority: 'a b'").error, "ads.authority: must be ASCII without blanks");
  EXPECT_EQ(take(R"(cluster_id: "a\nb")").error, "ads.cluster_id: must be ASCII without blanks");
}

TEST(AdsConfig, HowLongOldConfigurationCounts) {
  const auto after = [](const std::string& text) {
    sockmesh::config::v1::Ads ads;
    EXPECT_TRUE(parseYamlOrJson(text, ads));
    FieldErrors errors;
    const auto taken = takeStaleAfter(ads, errors);
    return errors.empty() ? std::to_string(taken.value_or(Nanos(-1)).count())
                          : errors.error().message();
  };
  EXPECT_EQ(after("{}"), "-1") << "for ever";
  EXPECT_EQ(after("stale_after: 1.5s"), "1500000000");
  for (const char* text : {"0s", "0.9s", "-1s", "31536001s"}) {
    EXPECT_EQ(after("stale_after: " + std::string(text)),
              "ads.stale_after: must be between 1s and 31536000s")
        << text;
  }
}

}  // namespace
}  // namespace sockmesh
