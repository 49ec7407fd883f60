// SPDX-License-Identifier: Apache-2.0
#include "health/ejection_log.h"

#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/log.h"

namespace sockmesh {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

// 2026-01-02 03:04:05 UTC.
constexpr Nanos kWall = seconds(1767323045);

EjectionEvent event(Detector detector = Detector::kConsecutive5xx) {
  EjectionEvent event;
  event.detector = detector;
  event.cluster = "outbound|80||a.b.svc.cluster.local";
  event.address = *SocketAddress::parse("10.0.0.1:8080");
  event.ejections = 1;
  return event;
}

EjectionEvent uneject() {
  EjectionEvent back = event(Detector::kSuccessRate);
  back.action = EjectionEvent::Action::kUneject;
  back.sinceLastAction = milliseconds(30999);
  return back;
}

// ---- JSON ----

TEST(EjectionJson, FirstEjection) {
  EXPECT_EQ(ejectionJson(event(), kWall),
            R"({"type":"CONSECUTIVE_5XX","timestamp":"2026-01-02T03:04:05Z",)"
            R"("cluster_name":"outbound|80||a.b.svc.cluster.local","upstream_url":"10.0.0.1:8080",)"
            R"("action":"EJECT","num_ejections":1,"enforced":true,"eject_consecutive_event":{}})");
}

TEST(EjectionJson, LaterEjectionWithMilliseconds) {
  auto later = event(Detector::kConsecutiveGatewayFailure);
  later.sinceLastAction = milliseconds(61999);
  later.ejections = 2;
  later.address = *SocketAddress::parse("[2001:db8::1]:80");
  EXPECT_EQ(ejectionJson(later, kWall + milliseconds(7) + Nanos(999999)),
            R"({"type":"CONSECUTIVE_GATEWAY_FAILURE","timestamp":"2026-01-02T03:04:05.007Z",)"
            R"("secs_since_last_action":"61",)"
            R"("cluster_name":"outbound|80||a.b.svc.cluster.local",)"
            R"("upstream_url":"[2001:db8::1]:80",)"
            R"("action":"EJECT","num_ejections":2,"enforced":true,"eject_consecutive_event":{}})");
}

TEST(EjectionJson, Return) {
  EXPECT_EQ(ejectionJson(uneject(), kWall),
            R"({"type":"SUCCESS_RATE","timestamp":"2026-01-02T03:04:05Z",)"
            R"("secs_since_last_action":"30",)"
            R"("cluster_name":"outbound|80||a.b.svc.cluster.local","upstream_url":"10.0.0.1:8080",)"
            R"("action":"UNEJECT","num_ejections":1,"enforced":false})");
}

TEST(EjectionJson, SuccessRateAsWholeNumbers) {
  auto statistical = event(Detector::kSuccessRate);
  statistical.rates = EjectionEvent::Rates{49.9, 90.5, 52.7};
  statistical.enforced = false;
  EXPECT_EQ(ejectionJson(statistical, kWall),
            R"({"type":"SUCCESS_RATE","timestamp":"2026-01-02T03:04:05Z",)"
            R"("cluster_name":"outbound|80||a.b.svc.cluster.local","upstream_url":"10.0.0.1:8080",)"
            R"("action":"EJECT","num_ejections":1,"enforced":false,"eject_success_rate_event":)"
            R"({"host_success_rate":49,"cluster_average_success_rate":90,)"
            R"("cluster_success_rate_ejection_threshold":52}})");
}

TEST(EjectionJson, FailurePercentage) {
  auto statistical = event(Detector::kFailurePercentage);
  statistical.rates = EjectionEvent::Rates{12.3, 0, 0};
  EXPECT_EQ(ejectionJson(statistical, kWall),
            R"({"type":"FAILURE_PERCENTAGE","timestamp":"2026-01-02T03:04:05Z",)"
            R"("cluster_name":"outbound|80||a.b.svc.cluster.local","upstream_url":"10.0.0.1:8080",)"
            R"("action":"EJECT","num_ejections":1,"enforced":true,)"
            R"("eject_failure_percentage_event":{"host_success_rate":12}})");
}

TEST(EjectionJson, EveryTypeHasItsNameAndItsDetails) {
  const std::pair<const char*, const char*> expected[kDetectors] = {
      {"CONSECUTIVE_5XX", "eject_consecutive_event"},
      {"CONSECUTIVE_GATEWAY_FAILURE", "eject_consecutive_event"},
      {"SUCCESS_RATE", "eject_success_rate_event"},
      {"CONSECUTIVE_LOCAL_ORIGIN_FAILURE", "eject_consecutive_event"},
      {"SUCCESS_RATE_LOCAL_ORIGIN", "eject_success_rate_event"},
      {"FAILURE_PERCENTAGE", "eject_failure_percentage_event"},
      {"FAILURE_PERCENTAGE_LOCAL_ORIGIN", "eject_failure_percentage_event"},
  };
  for (std::size_t i = 0; i < kDetectors; ++i) {
    const auto json = ejectionJson(event(static_cast<Detector>(i)), kWall);
    EXPECT_TRUE(json.starts_with(std::string(R"({"type":")") + expected[i].first + "\",")) << json;
    EXPECT_NE(json.find(std::string("\"") + expected[i].second + "\":{"), std::string::npos);
  }
}

TEST(EjectionJson, OddNamesStayJsonOnOneLine) {
  auto odd = event();
  odd.cluster = "a\"\n\xff";
  const auto json = ejectionJson(odd, kWall);
  EXPECT_NE(json.find("\"cluster_name\":\"a\\\"\\n\xef\xbf\xbd\""), std::string::npos) << json;
}

// ---- words ----

TEST(EjectionText, InWords) {
  auto second = event();
  second.cluster = "c";
  second.ejections = 2;
  EXPECT_EQ(ejectionText(second, kWall),
            "cluster c: 10.0.0.1:8080 ejected (consecutive_5xx), 2nd time, until "
            "2026-01-02T03:04:05Z");
  second.enforced = false;
  EXPECT_EQ(ejectionText(second, Nanos{0}),
            "cluster c: 10.0.0.1:8080 not ejected: detected (consecutive_5xx), but not enforced");
  auto statistical = event(Detector::kSuccessRate);
  statistical.cluster = "c";
  statistical.rates = EjectionEvent::Rates{50, 90, 52};
  EXPECT_EQ(ejectionText(statistical, Nanos{0}),
            "cluster c: 10.0.0.1:8080 ejected (success_rate, success rate 50 %), 1st time");
  auto back = uneject();
  back.cluster = "c";
  EXPECT_EQ(ejectionText(back, Nanos{0}), "cluster c: 10.0.0.1:8080 returned (success_rate)");
}

TEST(EjectionText, Ordinals) {
  for (const auto& [n, text] : {std::pair{3, "3rd"},
                                {4, "4th"},
                                {10, "10th"},
                                {11, "11th"},
                                {12, "12th"},
                                {13, "13th"},
                                {20, "20th"},
                                {21, "21st"},
                                {102, "102nd"},
                                {111, "111th"},
                                {113, "113th"}}) {
    auto nth = event();
    nth.ejections = static_cast<std::uint32_t>(n);
    EXPECT_NE(ejectionText(nth, Nanos{0}).find(std::string(" ") + text + " time"),
              std::string::npos);
  }
}

// ---- the file ----

class TwoClocks final : public Clock {
 public:
  Nanos monotonic() const override { return hours(10); }
  Nanos wall() const override { return kWall; }
};

class EjectionLogTest : public testing::Test {
 protected:
  EjectionLogTest() {
    std::string pattern = testing::TempDir() + "ejection_log_XXXXXX";
    folder_ = mkdtemp(pattern.data());
    path_ = folder_ / "events.log";
    logger("health")->sinks().swap(sinks_);
  }
  ~EjectionLogTest() override {
    logger("health")->sinks().swap(sinks_);
    std::filesystem::remove_all(folder_);
  }

  std::vector<std::string> lines() const {
    std::vector<std::string> all;
    std::ifstream file(path_);
    for (std::string line; std::getline(file, line);) all.push_back(line);
    return all;
  }
  std::size_t said(const std::string& words) const {
    std::size_t times = 0;
    const std::string text = words_.str();
    for (auto at = text.find(words); at != std::string::npos; at = text.find(words, at + 1))
      ++times;
    return times;
  }

  TwoClocks clock_;
  std::filesystem::path folder_;
  std::filesystem::path path_;
  std::ostringstream words_;
  // Takes the logger's place while this exists.
  std::vector<spdlog::sink_ptr> sinks_ = {std::make_shared<spdlog::sinks::ostream_sink_mt>(words_)};
};

TEST_F(EjectionLogTest, AppendsWithTheWallTimeOfTheEvent) {
  EjectionLog log(clock_, path_);
  auto first = event();
  first.at = hours(10) - seconds(5);
  first.ejectedUntil = hours(10) + seconds(25);
  log.write(first);
  log.write(uneject());
  EjectionLog(clock_, path_).write(first);
  ASSERT_EQ(lines().size(), 3U);
  EXPECT_EQ(lines()[0], ejectionJson(first, kWall - seconds(5)));
  EXPECT_EQ(lines()[1], ejectionJson(uneject(), kWall - hours(10)));
  EXPECT_EQ(said("ejected (consecutive_5xx), 1st time, until 2026-01-02T03:04:30Z"), 2U);
  EXPECT_EQ(said("returned"), 1U);
}

TEST_F(EjectionLogTest, FollowsNobodyWhoMovesTheFileAway) {
  EjectionLog log(clock_, path_);
  log.write(event());
  std::filesystem::rename(path_, folder_ / "events.log.1");
  log.write(event());
  EXPECT_EQ(lines().size(), 1U);
}

TEST_F(EjectionLogTest, SaysOnceThatItFailsAndOnceThatItWorksAgain) {
  std::filesystem::create_directory(path_);
  EjectionLog log(clock_, path_);
  for (int i = 0; i < 3; ++i) log.write(event());
  EXPECT_EQ(said("cannot write ejections to " + path_.string()), 1U);
  EXPECT_EQ(said("ejected (consecutive_5xx)"), 3U);
  std::filesystem::remove(path_);
  for (int i = 0; i < 3; ++i) log.write(event());
  EXPECT_EQ(said("again"), 1U);
  EXPECT_EQ(lines().size(), 3U);
}

TEST_F(EjectionLogTest, WithoutAPathWordsAlone) {
  EjectionLog log(clock_, "");
  log.write(event());
  EXPECT_EQ(said("ejected"), 1U);
  EXPECT_EQ(said("cannot"), 0U);
}

}  // namespace
}  // namespace sockmesh
