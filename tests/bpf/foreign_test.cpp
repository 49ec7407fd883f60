// SPDX-License-Identifier: Apache-2.0
// Proof 1: no foreign endpoint, no missed service, while services are rewritten, removed and added
// again without pause on another CPU, and ids, cells and endpoints are reused.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>

#include "bpf/select_args.h"
#include "support/datapath_test.h"
#include "tests/select.skel.h"

namespace sockmesh::test {
namespace {

constexpr std::uint32_t kSteady = 16;    // services 0..15 exist throughout
constexpr std::uint32_t kChurning = 32;  // services 16..47 come and go
constexpr std::uint64_t kChangesWanted = 1000;

// SOCKMESH_SELECTIONS asks for a longer run.
std::uint64_t selectionsWanted() {
  const char* wanted = std::getenv("SOCKMESH_SELECTIONS");
  return wanted != nullptr ? std::strtoull(wanted, nullptr, 10) : 10'000'000;
}

void pinTo(std::thread& thread, int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu % std::thread::hardware_concurrency(), &set);
  pthread_setaffinity_np(thread.native_handle(), sizeof(set), &set);
}

class Foreign : public DatapathTest {
 protected:
  void SetUp() override {
    DatapathTest::SetUp();
    port_ = at("0.0.0.0:0");
    listener_ = std::move(listenOn(port_)).value();
    auto background = BackgroundGracePeriod::create([this](std::function<void()> then) {
      const std::lock_guard lock(mutex_);
      posted_.push_back(std::move(then));
    });
    ASSERT_TRUE(background);
    writer_.reset();
    background_ = std::move(background).value();
    makeWriter(*background_);
    loadSelect();
  }

  void TearDown() override {
    background_.reset();
    writer_.reset();
    select_bpf::destroy(select_);
  }

  void loadSelect() {
    select_ = select_bpf::open();
    ASSERT_NE(select_, nullptr);
    bpf_map* map = nullptr;
    bpf_object__for_each_map(map, select_->obj) {
      const std::string path = PinPath(sandbox_->bpffs()).maps() + "/" + bpf_map__name(map);
      const UniqueFd fd(bpf_obj_get(path.c_str()));
      if (!fd.valid()) continue;  // the object's own data
      ASSERT_EQ(bpf_map__reuse_fd(map, fd.get()), 0) << path;
    }
    ASSERT_EQ(select_bpf::load(select_), 0);
  }

  std::vector<std::string> endpointsOf(std::uint32_t service, std::uint32_t round) const {
    // Two to five of them, and different ones in each round, so that ids move between services.
    std::vector<std::string> endpoints;
    for (std::uint32_t n = 0; n < 2 + (service + round) % 4; ++n) {
      endpoints.push_back("127.100." + std::to_string(service) + "." +
                          std::to_string(1 + (round + n) % 250) + ":" + std::to_string(port_.port));
    }
    return endpoints;
  }

  TableBuilder tables(std::uint32_t round) const {
    TableBuilder builder;
    for (std::uint32_t s = 0; s < kSteady + kChurning; ++s) {
      const bool here = s < kSteady || ((s * 7 + round) % 3) != 0;
      if (!here) continue;
      const std::string vip = "10.96.0." + std::to_string(s) + ":80";
      const std::string cluster = "cluster-" + std::to_string(s);
      if ((s + round) % 2 == 0) {
        builder.service(vip, cluster, endpointsOf(s, round));
      } else {
        builder.random(vip, cluster, endpointsOf(s, round));
      }
    }
    return builder;
  }

  void runPosted() {
    std::vector<std::function<void()>> now;
    {
      const std::lock_guard lock(mutex_);
      now.swap(posted_);
    }
    for (auto& then : now) then();
  }

  void rewriteUntil(const std::atomic<bool>& done) {
    for (std::uint32_t round = 1; !done; ++round) {
      runPosted();
      const auto report = writer_->apply(tables(round).build());
      if (!report.errors.empty()) errors_.push_back(report.errors.front());
      changes_ += report.servicesAdded + report.servicesChanged + report.servicesRemoved;
      if (round % 8 == 0) writer_->reap();
    }
  }

  select_args select(std::uint32_t first, std::uint32_t count, std::uint32_t iterations,
                     std::uint32_t spin = 0) {
    select_args args{};
    args.iterations = iterations;
    args.first = first;
    args.count = count;
    args.spin = spin;
    LIBBPF_OPTS(bpf_test_run_opts, options, .ctx_in = &args, .ctx_size_in = sizeof(args));
    EXPECT_EQ(bpf_prog_test_run_opts(bpf_program__fd(select_->progs.select_many), &options), 0);
    return args;
  }

  SocketAddress port_;
  UniqueFd listener_;
  std::unique_ptr<BackgroundGracePeriod> background_;
  select_bpf* select_ = nullptr;
  std::mutex mutex_;
  std::vector<std::function<void()>> posted_;
  std::vector<std::string> errors_;
  std::atomic<std::uint64_t> changes_{0};
};

TEST_F(Foreign, TenMillionSelectionsWhileServicesAreRewritten) {
  ASSERT_TRUE(writer_->apply(tables(0).build()).errors.empty());
  std::atomic<bool> done{false};
  std::thread writing([&] { rewriteUntil(done); });
  pinTo(writing, 0);

  const std::uint64_t wanted = selectionsWanted();
  std::uint64_t selections = 0, steadyMissed = 0, foreign = 0, balanced = 0, churnMissed = 0;
  std::thread selecting([&] {
    // As many as requested, and more if the writer has done little meanwhile.
    while (selections < wanted || (changes_ <= kChangesWanted && selections < 10 * wanted)) {
      const auto steady = select(0, kSteady, 50'000);
      const auto churning = select(kSteady, kChurning, 50'000);
      steadyMissed += steady.missed + steady.other;
      churnMissed += churning.missed;
      foreign += steady.foreign + churning.foreign;
      balanced += steady.balanced + churning.balanced;
      selections += 100'000;
    }
  });
  pinTo(selecting, 1);
  selecting.join();
  done = true;
  writing.join();

  EXPECT_TRUE(errors_.empty()) << errors_.front();
  EXPECT_EQ(foreign, 0u);
  EXPECT_EQ(steadyMissed, 0u);
  EXPECT_GT(changes_, kChangesWanted);
  EXPECT_GT(churnMissed, 0u) << "the churning services never went: the test tests nothing";
  const auto retried = readCounter(datapath_->maps(), SM_COUNTER_LOOKUP_RETRY).value();
  std::printf("%lu selections, %lu service changes, %lu lookups saw a recycled element\n",
              selections, changes_.load(), retried);
  EXPECT_EQ(readCounter(datapath_->maps(), SM_COUNTER_LOOKUP_EXHAUSTED).value(), 0u);
  EXPECT_EQ(readCounter(datapath_->maps(), SM_COUNTER_TABLE_BROKEN).value(), 0u);
}

// The same with slow readers: each stays about 300 us between finding the descriptor and using the
// endpoint, so that an id, cell or endpoint reused too early is met. (Without the grace period this
// fails at once.)
TEST_F(Foreign, SlowReadersNeverSeeAReusedId) {
  ASSERT_TRUE(writer_->apply(tables(0).build()).errors.empty());
  std::atomic<bool> done{false};
  std::thread writing([&] { rewriteUntil(done); });
  pinTo(writing, 0);
  std::uint64_t foreign = 0, missed = 0, balanced = 0;
  std::thread selecting([&] {
    for (int batch = 0; batch < 20; ++batch) {
      const auto churning = select(kSteady, kChurning, 100, 150'000);
      const auto steady = select(0, kSteady, 100, 150'000);
      foreign += steady.foreign + churning.foreign;
      missed += steady.missed + steady.other;
      balanced += steady.balanced + churning.balanced;
    }
  });
  pinTo(selecting, 1);
  selecting.join();
  done = true;
  writing.join();
  EXPECT_TRUE(errors_.empty()) << errors_.front();
  EXPECT_EQ(foreign, 0u);
  EXPECT_EQ(missed, 0u);
  EXPECT_GT(balanced, 2000u);
}

// The hash itself: two keys removed and added in turn as fast as the kernel allows, so that a
// lookup's element is recycled under it. (Without the descriptor's key this fails.)
TEST_F(Foreign, RecycledHashElementsAreSeenThrough) {
  TableBuilder two;
  two.service("10.96.0.0:80", "cluster-0", endpointsOf(0, 0));
  for (std::uint32_t s : {16, 17}) {
    two.service("10.96.0." + std::to_string(s) + ":80", "cluster-" + std::to_string(s),
                endpointsOf(s, 0));
  }
  ASSERT_TRUE(writer_->apply(two.build()).errors.empty());
  const KernelImage before = image();
  const VipKey a{at("10.96.0.16:80"), Protocol::kTcp};
  const VipKey b{at("10.96.0.17:80"), Protocol::kTcp};
  const std::uint32_t idOfA = before.services.at(a).id;
  const std::uint32_t idOfB = before.services.at(b).id;
  ASSERT_TRUE(store_->eraseFrontend(b));

  std::atomic<bool> done{false};
  std::uint64_t turns = 0;
  std::thread churning([&] {
    for (; !done; ++turns) {
      bool ok = store_->eraseFrontend(a).ok() && store_->insertFrontend(b, idOfB).ok();
      ok = ok && store_->eraseFrontend(b).ok() && store_->insertFrontend(a, idOfA).ok();
      if (!ok) return;
    }
  });
  pinTo(churning, 0);
  std::uint64_t foreign = 0, missed = 0, selections = 0;
  std::thread selecting([&] {
    for (int batch = 0; batch < 100; ++batch) {
      foreign += select(16, 2, 50'000).foreign;
      const auto steady = select(0, 1, 50'000);
      foreign += steady.foreign;
      missed += steady.missed;
      selections += 100'000;
    }
  });
  pinTo(selecting, 1);
  selecting.join();
  done = true;
  churning.join();
  EXPECT_EQ(foreign, 0u);
  EXPECT_EQ(missed, 0u);
  std::printf("%lu selections, %lu turns, %lu lookups saw a recycled element\n", selections, turns,
              readCounter(datapath_->maps(), SM_COUNTER_LOOKUP_RETRY).value());
}

TEST_F(Foreign, RealConnectsWhileServicesAreRewritten) {
  ASSERT_TRUE(writer_->apply(tables(0).build()).errors.empty());
  std::atomic<bool> done{false};
  std::thread writing([&] { rewriteUntil(done); });
  pinTo(writing, 0);

  std::uint64_t connects = 0, failed = 0, foreign = 0;
  std::thread connecting([&] {
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(3);
    while (std::chrono::steady_clock::now() < until) {
      const std::uint32_t service = connects++ % kSteady;
      const auto client = connectTo(at("10.96.0." + std::to_string(service) + ":80"));
      if (!client) {
        ++failed;
        continue;
      }
      foreign += acceptedAt(listener_).ip.bytes()[14] != service ? 1 : 0;
      // No TIME_WAIT: they would fill the namespace's buckets, and other tests' closes be reset.
      const linger reset{1, 0};
      setsockopt(client->get(), SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    }
  });
  pinTo(connecting, 1);
  connecting.join();
  done = true;
  writing.join();

  EXPECT_TRUE(errors_.empty()) << errors_.front();
  EXPECT_EQ(failed, 0u);
  EXPECT_EQ(foreign, 0u);
  EXPECT_GT(connects, 1000u);
  std::printf("%lu connects, %lu service changes\n", connects, changes_.load());
}

}  // namespace
}  // namespace sockmesh::test
