// SPDX-License-Identifier: Apache-2.0
// Fixture: a compiled service in the kernel, and many selections of it there.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "maps/mapped_memory.h"
#include "support/datapath_test.h"
#include "unit/lb/build.h"
#include "unit/lb/reference_model.h"

struct distribute_bpf;

namespace sockmesh::test {

// How often each endpoint of a cluster was chosen, and what else happened.
struct Picks {
  std::map<std::pair<std::string, SocketAddress>, std::uint64_t> endpoints;
  std::uint64_t selections = 0;
  std::uint64_t refused = 0;
  std::uint64_t leftAlone = 0;
  std::uint64_t broken = 0;  // a table led nowhere, or the VIP was not found

  std::uint64_t of(int hostNumber, const std::string& cluster = "c") const;
};

// Picks are drawn independently with these probabilities: Pearson's chi-square, at odds of one in a
// million of a false alarm. An endpoint without a share is never picked. Endpoints with fewer than
// five expected picks are merged with the next one.
testing::AssertionResult follows(const Picks& picks, const ServiceShares& shares);
// The same for the hosts 1, 2, ... of the cluster "c". Shares are in any unit.
testing::AssertionResult follows(const Picks& picks, const std::vector<double>& weights);
// Every endpoint within `slack` picks of its share: for schedules.
testing::AssertionResult within(const Picks& picks, const ServiceShares& shares, double slack);

class DistributionTest : public DatapathTest {
 protected:
  static constexpr std::uint32_t kSelections = 400'000;

  void SetUp() override;
  void TearDown() override;

  // Compiles these legs behind 10.96.0.1:80 and puts them into the kernel. The compiled service.
  const LbService& serve(const std::vector<Leg>& legs, bool hashSourceIp = false);
  const LbService& serve(const Cluster& cluster, const LoadAssignment& assignment);
  const LbService& serve(const std::vector<ModelLeg>& legs, const ModelWorld& world);

  // Selects `count` times, with random hashes. With `hold` every choice stays an active connection.
  Picks select(std::uint32_t count = kSelections, bool hold = false);
  // One selection for each of at most DISTRIBUTE_HASHES hashes: the ids of the endpoints chosen.
  std::vector<std::uint32_t> selectBy(std::span<const std::uint64_t> hashes);

  // Sets the number of connections of the endpoint that the policies see.
  void setActive(int hostNumber, std::uint32_t connections, const std::string& cluster = "c");
  std::uint32_t active(int hostNumber, const std::string& cluster = "c");
  std::uint32_t idOf(const std::string& cluster, const SocketAddress& address) const {
    return ids_->endpointId(cluster, address);
  }

 private:
  void load();
  const LbService& install(std::shared_ptr<const LbTables> tables);
  void run(std::uint32_t count, bool given, bool hold, Picks& picks);

  distribute_bpf* program_ = nullptr;
  MappedArray<std::uint64_t> picks_;
  MappedArray<std::uint64_t> hashes_;
  MappedArray<std::uint64_t> chosen_;
  std::shared_ptr<const LbTables> tables_;
};

}  // namespace sockmesh::test
