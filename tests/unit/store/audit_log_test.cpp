// SPDX-License-Identifier: Apache-2.0
// What the audit log says of responses, as whoever reads the file sees it.
#include "store/audit_log.h"

#include <gmock/gmock.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "decode/type_urls.h"
#include "support/mailbox.h"
#include "unit/decode/resources.h"

namespace sockmesh {
namespace {

using namespace xds_test;
using Json = nlohmann::ordered_json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class AuditLogTest : public ::testing::Test {
 protected:
  AuditLogTest() {
    folder_ = ::testing::TempDir() + "sockmesh-audit-XXXXXX";
    EXPECT_NE(mkdtemp(folder_.data()), nullptr);
    options_.path = folder_ + "/audit.log";
    open();
  }
  ~AuditLogTest() override {
    log_.reset();
    std::filesystem::remove_all(folder_);
  }

  void open() {
    log_ = std::make_unique<AuditLog>(store_, options_,
                                      [this](const std::string& what) { problems_.put(what); });
  }
  // What the client does with a response.
  void receive(const DiscoveryResponse& response) { receive(updateOf(response)); }
  void receive(Update update) {
    const ApplyResult result = store_.apply(update);
    log_->answered(*findResourceType(update.typeUrl), update, result, "10.0.0.1:15010 (istiod)");
  }
  // The lines of a file, once all are written.
  std::vector<Json> lines(const std::string& suffix = "") {
    log_.reset();
    std::vector<Json> all;
    std::ifstream file(options_.path + suffix);
    for (std::string line; std::getline(file, line);) {
      all.push_back(Json::parse(line, nullptr, false));
      EXPECT_TRUE(all.back().is_object()) << line;
    }
    return all;
  }
  // "CDS a added", "CDS a changed: path: from -> to"
  static std::vector<std::string> changes(const Json& line) {
    std::vector<std::string> all;
    for (const Json& one : line["changes"]) {
      std::string text = one["type"].get<std::string>() + " " + one["name"].get<std::string>() +
                         " " + one["change"].get<std::string>();
      for (const Json& field : one.value("fields", Json::array())) {
        text += ": " + field["path"].get<std::string>() + ": " + field["from"].dump() + " -> " +
                field["to"].dump();
      }
      all.push_back(text);
    }
    return all;
  }

  std::string folder_;
  AuditOptions options_;
  ResourceStore store_;
  testing::Mailbox<std::string> problems_;
  std::unique_ptr<AuditLog> log_;
};

TEST_F(AuditLogTest, SaysWhatEachAcceptedVersionChanged) {
  receive(cds(edsCluster("a"), edsCluster("b")));
  receive(eds(assignment("a", 80)));
  receive(cds(edsCluster("a", 7), edsCluster("c")));
  receive(cds(edsCluster("a", 7), edsCluster("c")));
  const auto all = lines();
  ASSERT_THAT(all, SizeIs(4));
  EXPECT_THAT(changes(all[0]), ElementsAre("CDS a added", "CDS b added"));
  EXPECT_THAT(changes(all[1]), ElementsAre("EDS a added"));
  EXPECT_THAT(changes(all[2]), ElementsAre("CDS a changed: connect_timeout: \"5s\" -> \"7s\"",
                                           "CDS b removed", "CDS c added"));
  EXPECT_THAT(changes(all[3]), IsEmpty()) << "a version without a change";
  for (std::size_t i = 0; i < all.size(); ++i) {
    EXPECT_EQ(all[i]["id"], i + 1);
    EXPECT_EQ(all[i]["result"], "accepted");
    EXPECT_EQ(all[i]["server"], "10.0.0.1:15010 (istiod)");
    EXPECT_THAT(all[i]["time"].get<std::string>(), HasSubstr("T"));
  }
}

TEST_F(AuditLogTest, OfARejectedVersionItNamesTheErrorsAndWhatWasTakenAllTheSame) {
  receive(cds(edsCluster("a")));
  Update update = updateOf(cds(edsCluster("a", 9), badCluster("b")));
  update.version = "v2";
  update.nonce = "n2";
  receive(update);
  const auto all = lines();
  ASSERT_THAT(all, SizeIs(2));
  EXPECT_EQ(all[1]["result"], "rejected");
  EXPECT_EQ(all[1]["version"], "v2");
  EXPECT_EQ(all[1]["nonce"], "n2");
  ASSERT_THAT(all[1]["errors"], SizeIs(1));
  EXPECT_EQ(all[1]["errors"][0]["name"], "b");
  EXPECT_THAT(all[1]["errors"][0]["reason"].get<std::string>(), HasSubstr("connect_timeout"));
  EXPECT_THAT(changes(all[1]), ElementsAre("CDS a changed: connect_timeout: \"5s\" -> \"9s\""));
}

TEST_F(AuditLogTest, IdsGoOnWithTheNextAgentAlsoAfterARotation) {
  receive(cds(edsCluster("a")));
  ASSERT_THAT(lines(), SizeIs(1));
  std::filesystem::rename(options_.path, options_.path + ".1");
  open();
  receive(cds(edsCluster("a")));
  EXPECT_EQ(lines().at(0)["id"], 2);
}

TEST_F(AuditLogTest, WhatACacheHeldIsKnownAndNotListed) {
  store_.apply(updateOf(cds(edsCluster("a"), edsCluster("b"))));
  log_->begun(true);
  receive(cds(edsCluster("a", 6), edsCluster("b")));
  const auto all = lines();
  ASSERT_THAT(all, SizeIs(2));
  EXPECT_EQ(all[0]["result"], "restored");
  EXPECT_THAT(all[0]["changes"], IsEmpty());
  EXPECT_THAT(changes(all[1]), ElementsAre("CDS a changed: connect_timeout: \"5s\" -> \"6s\""));
}

TEST_F(AuditLogTest, ALineIsBoundedAndSaysWhatIsLeftOut) {
  log_.reset();
  options_.maxBytes = 65536;
  options_.maxFiles = 3;
  open();
  DiscoveryResponse many = cds();
  for (int i = 0; i < 2000; ++i) {
    many.add_resources()->PackFrom(edsCluster(std::string(90, 'x') + std::to_string(i)));
  }
  receive(many);
  const auto all = lines();
  ASSERT_THAT(all, SizeIs(1));
  EXPECT_LT(all[0].dump().size(), 65536U);
  EXPECT_EQ(all[0]["changes"].size() + all[0]["moreChanges"].get<std::size_t>(), 2000U);
}

TEST_F(AuditLogTest, ALineThatCannotBeWrittenIsReportedAndCounted) {
  log_.reset();
  const std::string folder = folder_ + "/folder";
  std::ofstream(folder) << "a file where the folder should be";
  options_.path = folder + "/audit.log";
  open();
  receive(cds(edsCluster("a")));
  EXPECT_THAT(problems_.take().value_or(""), HasSubstr("folder/audit.log"));
  std::filesystem::remove(folder);
  receive(cds(edsCluster("b")));
  EXPECT_EQ(problems_.take(), "") << "all is well again";
  const auto all = lines();
  ASSERT_THAT(all, SizeIs(1));
  EXPECT_EQ(all[0]["missed"], 1);
  EXPECT_THAT(changes(all[0]), ElementsAre("CDS a removed", "CDS b added"));
}

}  // namespace
}  // namespace sockmesh
