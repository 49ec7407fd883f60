// SPDX-License-Identifier: Apache-2.0
// What a scrape of a large mesh costs, and that it keeps nobody waiting. `make bench-size` prints
// the time of a scrape.
#include "support/scrape.h"

#include <gmock/gmock.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include "support/datapath_test.h"
#include "support/eventually.h"
#include "support/size_mesh.h"

namespace sockmesh::test {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Of the calling thread. Other processes on a busy machine do not count.
double cpuSeconds() {
  timespec ts{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
  return static_cast<double>(ts.tv_sec) + static_cast<double>(ts.tv_nsec) / 1e9;
}

class Scrape : public DatapathTest {
 protected:
  DatapathOptions options() const override {
    DatapathOptions out = DatapathTest::options();
    out.maxServices = SM_DEFAULT_MAX_SERVICES;
    return out;
  }
  // As a Prometheus server sees it when this node has talked to every endpoint.
  void install(int services) {
    const SizeMesh mesh{.services = services, .endpoints = 10};
    EXPECT_THAT(writer_->apply(mesh.tables()).errors, IsEmpty());
    useAllEndpoints(datapath_->maps());
  }
};

TEST_F(Scrape, OfTenThousandServicesTakesLessThanASecond) {
  install(10000);
  double least = 1e9;
  for (int i = 0; i < 3; ++i) {
    const double began = cpuSeconds();
    const std::string text = scrape(sandbox_->bpffs());
    least = std::min(least, cpuSeconds() - began);
    EXPECT_THAT(text, HasSubstr("sockmesh_services{state=\"balanced\"} 10000\n"));
    EXPECT_THAT(text, HasSubstr("{cluster=\"outbound|80||service-9999.namespace.svc.cluster."
                                "local\"} 10\n"));
  }
  // A second, and as much again for a machine on which other processes take away the caches.
  EXPECT_LT(least, 2.0 * patienceFactor());
}

// Looks for a write that began and ended while one and the same scrape went on.
TEST_F(Scrape, TheWriterWritesInTheMiddleOfOne) {
  install(2000);
  const auto without = SizeMesh{.services = 2000, .endpoints = 10}.tables();
  const auto with = SizeMesh{.services = 2001, .endpoints = 10}.tables();
  std::atomic<std::uint64_t> scrapes{0};  // begun and ended: odd while one goes on
  const std::jthread scraper([&](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      ++scrapes;
      EXPECT_FALSE(scrape(sandbox_->bpffs()).empty());
      ++scrapes;
    }
  });
  const auto writtenInTheMiddle = [&] {
    const std::uint64_t before = scrapes;
    EXPECT_EQ(writer_->apply(with).servicesAdded, 1U);
    const bool found = before % 2 == 1 && scrapes == before;
    EXPECT_EQ(writer_->apply(without).servicesRemoved, 1U);
    return found;
  };
  EXPECT_TRUE(eventually(writtenInTheMiddle, std::chrono::minutes(1)));
}

}  // namespace
}  // namespace sockmesh::test
