// SPDX-License-Identifier: Apache-2.0
#include "bpf/distribution.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <algorithm>
#include <atomic>
#include <cmath>

#include "bpf/distribute_args.h"
#include "tests/distribute.skel.h"
#include "unit/lb/model_tables.h"

namespace sockmesh::test {
namespace {

constexpr double kAlarm = 4.75;     // standard deviations: one in a million
constexpr double kFewestPicks = 5;  // expected in a class of Pearson's

// Pearson's sum as standard deviations of a normal distribution (Wilson and Hilferty).
double deviations(double sum, double freedom) {
  const double part = 2 / (9 * freedom);
  return (std::cbrt(sum / freedom) - (1 - part)) / std::sqrt(part);
}

struct Class {
  std::string name;
  double expected = 0;
  double seen = 0;
};

testing::AssertionResult pearson(const std::vector<Class>& classes) {
  double sum = 0;
  std::vector<Class> merged;
  for (const Class& one : classes) {
    if (one.expected == 0 && one.seen > 0) {
      return testing::AssertionFailure() << one.name << " was picked " << one.seen << " times";
    }
    if (one.expected == 0) continue;
    if (merged.empty() || merged.back().expected >= kFewestPicks) merged.push_back({});
    merged.back().expected += one.expected;
    merged.back().seen += one.seen;
  }
  for (const Class& one : merged) sum += std::pow(one.seen - one.expected, 2) / one.expected;
  if (merged.size() < 2) return testing::AssertionSuccess();
  const double off = deviations(sum, static_cast<double>(merged.size() - 1));
  if (off < kAlarm) return testing::AssertionSuccess();
  auto failure = testing::AssertionFailure() << "off by " << off << " standard deviations:";
  for (const Class& one : classes) {
    failure << "\n  " << one.name << " " << one.seen << " picks, expected " << one.expected;
  }
  return failure;
}

std::vector<Class> classesOf(const Picks& picks, const ServiceShares& shares) {
  const auto total = static_cast<double>(picks.selections);
  std::map<std::pair<std::string, SocketAddress>, Class> classes;
  for (const auto& [endpoint, share] : shares.endpoints) classes[endpoint].expected = share * total;
  for (const auto& [endpoint, count] : picks.endpoints) {
    classes[endpoint].seen = static_cast<double>(count);
  }
  std::vector<Class> list = {
      {"refused", shares.refused * total, static_cast<double>(picks.refused)},
      {"left alone", shares.leftAlone * total, static_cast<double>(picks.leftAlone)}};
  for (auto& [endpoint, one] : classes) {
    one.name = endpoint.first + " " + endpoint.second.toString();
    list.push_back(one);
  }
  return list;
}

}  // namespace

std::uint64_t Picks::of(int hostNumber, const std::string& cluster) const {
  const auto found = endpoints.find({cluster, host(hostNumber)});
  return found == endpoints.end() ? 0 : found->second;
}

testing::AssertionResult follows(const Picks& picks, const ServiceShares& shares) {
  if (picks.broken > 0) return testing::AssertionFailure() << picks.broken << " led nowhere";
  return pearson(classesOf(picks, shares));
}

testing::AssertionResult follows(const Picks& picks, const std::vector<double>& weights) {
  ServiceShares shares;
  double sum = 0;
  for (const double weight : weights) sum += weight;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    shares.endpoints[{"c", host(static_cast<int>(i) + 1)}] = weights[i] / sum;
  }
  return follows(picks, shares);
}

testing::AssertionResult within(const Picks& picks, const ServiceShares& shares, double slack) {
  if (picks.broken > 0) return testing::AssertionFailure() << picks.broken << " led nowhere";
  for (const Class& one : classesOf(picks, shares)) {
    if (std::abs(one.seen - one.expected) <= slack) continue;
    return testing::AssertionFailure()
           << one.name << " " << one.seen << " picks, expected " << one.expected;
  }
  return testing::AssertionSuccess();
}

void DistributionTest::SetUp() {
  DatapathTest::SetUp();
  if (!HasFatalFailure()) load();
}

void DistributionTest::TearDown() {
  distribute_bpf::destroy(program_);
}

void DistributionTest::load() {
  program_ = distribute_bpf::open();
  ASSERT_NE(program_, nullptr);
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, program_->obj) {
    const std::string path = PinPath(sandbox_->bpffs()).maps() + "/" + bpf_map__name(map);
    const UniqueFd fd(bpf_obj_get(path.c_str()));
    if (!fd.valid()) continue;  // the object's own
    ASSERT_EQ(bpf_map__reuse_fd(map, fd.get()), 0) << path;
  }
  ASSERT_EQ(distribute_bpf::load(program_), 0);
  const auto mapped = [](const bpf_map* own, std::uint32_t entries) {
    auto array = MappedArray<std::uint64_t>::map(bpf_map__fd(own), entries, MapAccess::kReadWrite);
    EXPECT_TRUE(array) << bpf_map__name(own);
    return std::move(array).value();
  };
  picks_ = mapped(program_->maps.picks, DISTRIBUTE_IDS);
  hashes_ = mapped(program_->maps.hashes, DISTRIBUTE_HASHES);
  chosen_ = mapped(program_->maps.chosen, DISTRIBUTE_HASHES);
}

const LbService& DistributionTest::install(std::shared_ptr<const LbTables> tables) {
  tables_ = std::move(tables);
  const auto report = writer_->apply(tables_);
  EXPECT_TRUE(report.errors.empty()) << report.errors.front();
  return at(*tables_);
}

const LbService& DistributionTest::serve(const std::vector<Leg>& legs, bool hashSourceIp) {
  return install(compileLegs(legs, hashSourceIp));
}

const LbService& DistributionTest::serve(const Cluster& cluster, const LoadAssignment& assignment) {
  return serve({{cluster, assignment, 1, {}}});
}

const LbService& DistributionTest::serve(const std::vector<ModelLeg>& legs,
                                         const ModelWorld& world) {
  return install(compileModel(legs, world));
}

void DistributionTest::run(std::uint32_t count, bool given, bool hold, Picks& picks) {
  distribute_args args{};
  args.iterations = count;
  args.given = given ? 1 : 0;
  args.hold = hold ? 1 : 0;
  LIBBPF_OPTS(bpf_test_run_opts, options, .ctx_in = &args, .ctx_size_in = sizeof(args));
  EXPECT_EQ(bpf_prog_test_run_opts(bpf_program__fd(program_->progs.distribute), &options), 0);
  picks.selections = count;
  picks.refused = args.refused;
  picks.leftAlone = args.left_alone;
  picks.broken = args.broken + args.missed;
}

Picks DistributionTest::select(std::uint32_t count, bool hold) {
  for (std::uint32_t id = 0; id < DISTRIBUTE_IDS; ++id) picks_[id] = 0;
  Picks picks;
  run(count, false, hold, picks);
  for (const auto& [name, cluster] : tables_->clusters) {
    for (const LbEndpoint& endpoint : cluster->endpoints) {
      const std::uint64_t seen = picks_[idOf(name, endpoint.address)];
      if (seen > 0) picks.endpoints[{name, endpoint.address}] = seen;
    }
  }
  return picks;
}

std::vector<std::uint32_t> DistributionTest::selectBy(std::span<const std::uint64_t> hashes) {
  EXPECT_LE(hashes.size(), std::size_t{DISTRIBUTE_HASHES});
  for (std::uint32_t i = 0; i < hashes.size(); ++i) hashes_[i] = hashes[i];
  Picks picks;
  run(static_cast<std::uint32_t>(hashes.size()), true, false, picks);
  EXPECT_EQ(picks.broken, 0U);
  std::vector<std::uint32_t> ids;
  for (std::uint32_t i = 0; i < hashes.size(); ++i) {
    ids.push_back(static_cast<std::uint32_t>(chosen_[i]));
  }
  return ids;
}

void DistributionTest::setActive(int hostNumber, std::uint32_t connections,
                                 const std::string& cluster) {
  auto* state = datapath_->maps().endpointState.at(idOf(cluster, host(hostNumber)));
  ASSERT_NE(state, nullptr);
  std::atomic_ref(state->active).store(connections);
}

std::uint32_t DistributionTest::active(int hostNumber, const std::string& cluster) {
  return store_->activeConnections(idOf(cluster, host(hostNumber)));
}

}  // namespace sockmesh::test
