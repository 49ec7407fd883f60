// SPDX-License-Identifier: Apache-2.0
// `sockmeshctl verify` against maps that another process has changed: each damage is named, and a
// repair leaves nothing of it.
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <functional>
#include <set>
#include <sstream>
#include <thread>

#include "integration/mesh_test.h"
#include "maps/codec.h"
#include "maps/frontend_filter.h"
#include "maps/kernel_maps.h"
#include "maps/pin_path.h"

namespace sockmesh::test {
namespace {

constexpr const char* kOtherVip = "10.96.0.2:80";
// For what takes no time where nothing else runs.
constexpr auto kPatience = std::chrono::seconds(60);

// What a damage is done to: the maps, and the service at kVip as it was before.
struct Damaged {
  KernelMaps& maps;
  const ImageService& service;  // of kVip
  const ImageService& other;    // of kOtherVip
  std::uint32_t endpoint = 0;   // an endpoint of kVip's cluster
  std::uint32_t cluster = 0;    // that cluster
};

struct Damage {
  std::string name;
  std::function<void(const Damaged&)> inflict;
  std::vector<std::string> named;  // what the output has in one line
};

const VipKey kKey{at(kVip), Protocol::kTcp};

std::vector<Damage> damages() {
  return {
      {"AVipIsGone",
       [](const Damaged& on) { ASSERT_TRUE(on.maps.frontends4.erase(encodeFrontend4(kKey))); },
       {"tables, kernel", "Service", "10.96.0.1:80/TCP", "not there"}},
      {"AVipThatNobodyWants",
       [](const Damaged& on) {
         const VipKey key{at("10.96.0.9:80"), Protocol::kTcp};
         ASSERT_TRUE(on.maps.frontends4.insert(encodeFrontend4(key), on.service.id));
       },
       {"Service", "10.96.0.9:80/TCP", "broken: "}},
      {"AHeadLeadsToAnotherService",
       [](const Damaged& on) { on.maps.heads[on.service.id] = on.other.descriptorIndex; },
       {"Service", "10.96.0.1:80/TCP", "broken: "}},
      {"AHostOfAnotherCluster",
       [](const Damaged& on) {
         sm_cell* hosts = on.maps.cells.at(on.service.groups[0].host_cell);
         hosts->words[0] = on.maps.cells.at(on.other.groups[0].host_cell)->words[0];
       },
       {"Service", "10.96.0.1:80/TCP", "groups[0].hosts", "127.0.1.1", "127.0.1.3"}},
      {"AnotherPolicy",
       [](const Damaged& on) {
         on.maps.groups.at(on.service.descriptor.group_first)->policy = SM_POLICY_REFUSE;
       },
       {"Service", "10.96.0.1:80/TCP", "groups[0].policy", "ROUND_ROBIN", "REFUSE"}},
      {"AnAddress",
       [](const Damaged& on) { on.maps.endpoints.at(on.endpoint)->port_be ^= 0x0100; },
       {"Endpoint", "a 127.0.1.", "not there"}},
      {"AWeight",
       [](const Damaged& on) { on.maps.endpoints.at(on.endpoint)->weight = 77; },
       {"Endpoint", "a 127.0.1.", "weight", "77"}},
      {"AnEndpointIsWithdrawn",
       [](const Damaged& on) { on.maps.endpointState.at(on.endpoint)->withdrawn = 1; },
       {"Endpoint", "a 127.0.1.", "there", "not there"}},
      {"ARuleOfEjection",
       [](const Damaged& on) { on.maps.clusterState.at(on.cluster)->ejection_limit = 9; },
       {"Cluster", "a", "ejection.limit", "9"}},
      {"AName",
       [](const Damaged& on) {
         const sm_name_key key{on.cluster, SM_NAME_CLUSTER, 0};
         ASSERT_TRUE(on.maps.names.erase(key));
       },
       {"Cluster", "a", "not there"}},
      {"TheFilter",
       [](const Damaged& on) {
         const FilterPlace place = filterPlace(kKey);
         on.maps.frontendFilter[place.word] &= ~(1ULL << place.bit);
       },
       {"Service", "10.96.0.1:80/TCP", "filter", "the VIP is not found"}},
  };
}

class Verify : public MeshTest {
 protected:
  void SetUp() override {
    MeshTest::SetUp();
    mesh_->serve("a.yaml", serviceYaml(kVip, "a", {hosts_[0], hosts_[1]}));
    mesh_->serve("b.yaml", serviceYaml(kOtherVip, "b", {hosts_[2]}));
    mesh_->startControlPlane();
    mesh_->startAgent();
    ASSERT_TRUE(mesh_->ready()) << mesh_->agent().log();
    ASSERT_TRUE(mesh_->awaitImage([](const KernelImage& image) {
      return image.services.size() == 2 && image.endpoints.size() == 3;
    }));
  }
  Ran verify(std::vector<std::string> more = {}) const {
    std::vector<std::string> command = {binary("sockmeshctl"),
                                        "--bpffs-root",
                                        sandbox_->bpffs(),
                                        "--admin-socket",
                                        mesh_->adminSocket(),
                                        "-o",
                                        "wide",
                                        "verify"};
    command.insert(command.end(), more.begin(), more.end());
    return run(command);
  }
  void inflict(const std::vector<Damage>& all) const {
    auto maps = KernelMaps::open(PinPath(sandbox_->bpffs()).maps(), MapAccess::kReadWrite);
    ASSERT_TRUE(maps) << maps.error().message();
    const KernelImage image = mesh_->image();
    const ImageService& service = image.services.at(kKey);
    const sm_cell* hosts = (*maps)->cells.at(service.groups[0].host_cell);
    const Damaged on = {.maps = **maps,
                        .service = service,
                        .other = image.services.at({at(kOtherVip), Protocol::kTcp}),
                        .endpoint = hosts->words[0],
                        .cluster = service.groups[0].cluster_id};
    for (const Damage& damage : all) damage.inflict(on);
  }
  // The HTTP status of POST /repair on the Unix socket; 0: no answer.
  int repair() const {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    mesh_->adminSocket().copy(address.sun_path, sizeof(address.sun_path) - 1);
    const UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) return 0;
    const std::string request = "POST /repair HTTP/1.0\r\nHost: localhost\r\n\r\n";
    if (send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL) < 0) return 0;
    std::array<char, 1024> answer{};
    if (recv(fd.get(), answer.data(), answer.size() - 1, 0) <= 0) return 0;
    int status = 0;
    return std::sscanf(answer.data(), "HTTP/%*s %d", &status) == 1 ? status : 0;
  }
  // Writes by the agent that runs.
  std::uint64_t writes() const {
    std::istringstream lines(mesh_->get("/metrics"));
    std::uint64_t sum = 0;
    for (std::string line; std::getline(lines, line);) {
      if (!line.starts_with("sockmesh_map_writes_total{")) continue;
      sum += std::stoull(line.substr(line.rfind(' ')));
    }
    return sum;
  }
  // Which backends accept eight connections to the VIP.
  std::set<std::string> reached(const std::string& vip) const {
    std::set<std::string> found;
    for (int i = 0; i < 8; ++i) {
      const auto client = connectTo(at(vip));
      if (!client) continue;
      std::vector<pollfd> waiting;
      for (const UniqueFd& listener : listeners_) waiting.push_back({listener.get(), POLLIN, 0});
      if (poll(waiting.data(), waiting.size(), 5000) != 1) continue;
      for (std::size_t at = 0; at < waiting.size(); ++at) {
        if (waiting[at].revents == 0) continue;
        acceptOn(listeners_[at]);
        found.insert(hosts_[at]);
      }
    }
    return found;
  }
};

TEST_F(Verify, EachDamageIsNamedAndRepaired) {
  ASSERT_EQ(verify().code, 0) << verify().output;
  for (const Damage& damage : damages()) {
    SCOPED_TRACE(damage.name);
    inflict({damage});
    const Ran found = verify();
    EXPECT_EQ(found.code, 79) << found.output;
    EXPECT_TRUE(lineHas(found.output, damage.named)) << found.output;
    const Ran repaired = verify({"--repair"});
    EXPECT_EQ(repaired.code, 0) << repaired.output << mesh_->agent().log();
    EXPECT_TRUE(lineHas(repaired.output, damage.named)) << repaired.output;
    EXPECT_TRUE(lineHas(repaired.output, {"In step", "2 services, 2 clusters, 3 endpoints"}))
        << repaired.output;
    EXPECT_EQ(reached(kVip), (std::set{hosts_[0], hosts_[1]}));
    EXPECT_EQ(reached(kOtherVip), std::set{hosts_[2]});
  }
}

// A repair of tables that are right changes nothing, and no connection notices it.
TEST_F(Verify, ConnectionsDoNotNoticeARepair) {
  std::atomic<bool> done{false};
  std::atomic<int> connected{0}, failed{0};
  std::thread client([&] {
    while (!done) ++(connectTo(at(kVip)) ? connected : failed);
  });
  std::thread accepting([&] {
    while (!done) {
      for (int i = 0; i < 2; ++i) {
        pollfd waiting{listeners_[static_cast<std::size_t>(i)].get(), POLLIN, 0};
        if (poll(&waiting, 1, 1) == 1) acceptOn(listeners_[static_cast<std::size_t>(i)]);
      }
    }
  });
  const std::uint64_t before = writes();
  for (int i = 0; i < 20; ++i) {
    ASSERT_EQ(repair(), 200);
    const int from = connected;
    EXPECT_TRUE(eventually([&] { return connected > from; }, kPatience));
  }
  done = true;
  client.join();
  accepting.join();
  EXPECT_EQ(failed, 0);
  EXPECT_EQ(writes(), before);
  EXPECT_EQ(verify().code, 0);
}

// What is repaired is what an agent expects that comes after.
TEST_F(Verify, ARestartAfterARepairWritesNothing) {
  inflict(damages());
  ASSERT_EQ(verify({"--repair"}).code, 0);
  ASSERT_TRUE(mesh_->awaitImage([](const KernelImage& image) {
    return image.endpoints.size() == 3;  // what was retired is freed
  }));
  mesh_->killAgent();
  mesh_->startAgent();
  EXPECT_TRUE(mesh_->agent().awaitLog("adopted 2 services and 3 endpoints, 0 writes", kPatience))
      << mesh_->agent().log();
  ASSERT_TRUE(mesh_->ready());
  EXPECT_TRUE(eventually([&] { return verify().code == 0; }, kPatience)) << verify().output;
  EXPECT_EQ(writes(), 0u);
}

TEST_F(Verify, ARestartInTheMiddleOfARepairIsSound) {
  inflict(damages());
  ASSERT_EQ(repair(), 200);
  mesh_->killAgent();
  mesh_->startAgent();
  ASSERT_TRUE(mesh_->ready());
  EXPECT_TRUE(eventually([&] { return verify().code == 0; }, kPatience)) << verify().output;
  EXPECT_EQ(reached(kVip), (std::set{hosts_[0], hosts_[1]}));
  EXPECT_EQ(reached(kOtherVip), std::set{hosts_[2]});
}

TEST_F(Verify, FollowsChangesOfTheControlPlane) {
  inflict({damages()[0]});
  ASSERT_EQ(verify({"--repair"}).code, 0);
  mesh_->serve("a.yaml", serviceYaml(kVip, "a", {hosts_[1]}));
  ASSERT_TRUE(mesh_->awaitImage([](const KernelImage& image) {
    const auto found = image.services.find(kKey);
    return found != image.services.end() && found->second.service->groups[0]->hosts.size() == 1;
  }));
  EXPECT_EQ(verify().code, 0) << verify().output;
  EXPECT_EQ(reached(kVip), std::set{hosts_[1]});
}

TEST_F(Verify, RepairsOnlyOnTheUnixSocket) {
  EXPECT_EQ(mesh_->statusOf("/repair"), 405);
  const Ran noSocket =
      run({binary("sockmeshctl"), "--admin-socket", "/nowhere/admin.sock", "verify", "--repair"});
  EXPECT_EQ(noSocket.code, 0) << "nothing to repair, so nothing is asked: " << noSocket.output;
  inflict({damages()[0]});
  const Ran refused =
      run({binary("sockmeshctl"), "--admin-socket", "/nowhere/admin.sock", "verify", "--repair"});
  EXPECT_EQ(refused.code, 69) << refused.output;
  EXPECT_TRUE(refused.output.find("did not repair 1 difference: /nowhere/admin.sock") !=
              std::string::npos)
      << refused.output;
}

TEST_F(Verify, WithoutAnAgentThereIsNothingToCompareWith) {
  mesh_->killAgent();
  const Ran ran = verify();
  EXPECT_EQ(ran.code, 69);
  EXPECT_TRUE(ran.output.find("only the agent knows") != std::string::npos) << ran.output;
}

}  // namespace
}  // namespace sockmesh::test
