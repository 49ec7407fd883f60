// SPDX-License-Identifier: Apache-2.0
// The xDS client against a control plane that does what the input says: it repeats and reorders
// responses, loses them, sends too much, bad or meaningless resources, is slow, and ends streams.
// Then the control plane behaves, and the client must have exactly what the control plane says, in
// each protocol.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "ads/ads_client.h"
#include "control_plane.h"
#include "decode/type_urls.h"
#include "fuzz_input.h"
#include "fuzz_server.h"
#include "script.h"
#include "store/resource_store.h"

namespace sockmesh::fuzz {
namespace {

// The client does with a response what it does in fewer turns of the loop.
constexpr int kTurns = 6;
constexpr int kLongestChaos = 300;  // steps
constexpr int kLongestPeace = 400;

class Run {
 public:
  explicit Run(std::span<const std::uint8_t> input)
      : script_(input), world_(makeWorld(script_)), client_(*loop_, store_, options()) {}

  void run() {
    AdsClient::Callbacks callbacks;
    callbacks.onSnapshot = [this](auto snapshot) { latest_ = std::move(snapshot); };
    client_.start(std::move(callbacks));
    afterTurns(kTurns);
    loop_->run();
    checkEnd();
    client_.stop();
  }

 private:
  AdsClientOptions options() {
    AdsClientOptions options;
    options.channel.target = "fuzz:1";
    const std::size_t protocols = script_.below(3);
    options.protocol = protocols == 0 ? &sotw_ : &delta_;
    if (protocols == 1) options.fallback = &sotw_;
    if (script_.coin()) options.fallbackTargets.emplace_back("fuzz:2");
    options.node.set_id("fuzz");
    options.tellInterval = Nanos(0);  // turns of the loop are counted here, and no time
    return options;
  }

  void afterTurns(int turns) {
    loop_->post([this, turns] { turns == 0 ? step() : afterTurns(turns - 1); });
  }

  void step() {
    ++steps_;
    if (!peaceful_ && !script_.atEnd() && steps_ < kLongestChaos) {
      server_.misbehave();
    } else if (!peaceful_) {
      peaceful_ = true;
      server_.beginToBehave(world_);
    } else if (server_.behave()) {
      require(++peace_ < kLongestPeace, "a server that behaves has said all one day");
    } else if (++idle_ > 2) {
      return loop_->stop();
    }
    afterTurns(kTurns);
  }

  void checkEnd() {
    require(server_.hasStream(), "there is a stream");
    server_.checkAnswered();
    require(client_.stats().connected, "the client knows that it is connected");
    require(latest_ != nullptr && latest_->complete, "there is a complete snapshot");
    checkClusters();
    checkVips();
    std::map<std::string, std::uint32_t> ports;
    for (const auto& [name, assignment] : latest_->assignments) {
      require(assignment->localities.size() == 1, "an assignment has what was sent");
      ports[name] = assignment->localities[0].endpoints.at(0).address.port;
    }
    require(ports == world_.ports, "the endpoints are those of the control plane");
    const std::set<std::string> wanted = namesOf(world_.ports);
    require(server_.subscribed(kAssignmentType) == wanted, "assignments that are wanted");
    require(server_.subscribed(kRouteType) == world_.routes, "routes that are wanted");
    require(latest_->held.empty(), "nothing waits");
    for (const XdsTypeStats& type : client_.stats().types) {
      require(type.awaited == 0, "nothing is awaited");
      // Of an assignment whose old version is good again, a delta server says nothing.
      const bool silent =
          client_.stats().protocol == "delta" && (type.type == "EDS" || type.type == "RDS");
      require(silent || type.rejectedResources.empty(), "nothing is rejected any more");
    }
  }

  static std::set<std::string> namesOf(const std::map<std::string, std::uint32_t>& all) {
    std::set<std::string> names;
    for (const auto& [name, value] : all) names.insert(name);
    return names;
  }

  void checkClusters() const {
    std::map<std::string, std::string> edsNames;
    for (const auto& [name, cluster] : latest_->clusters) edsNames[name] = cluster->edsName;
    require(edsNames == world_.edsNames, "the clusters are those of the control plane");
  }

  void checkVips() const {
    std::map<std::string, std::string> vips;
    for (const auto& [name, part] : latest_->listeners) {
      require(part->route.clusters.size() == 1, "a VIP leads to one cluster");
      for (const Vip& vip : part->addresses) {
        vips[vip.toString()] = part->route.clusters[0].name;
      }
    }
    require(vips == world_.vips, "the VIPs are those of the control plane");
  }

  Script script_;
  World world_;
  FuzzServer server_{script_};
  FuzzProtocol sotw_{sotwProtocol(), server_};
  FuzzProtocol delta_{deltaProtocol(), server_};
  std::unique_ptr<EventLoop> loop_ = std::move(EventLoop::create()).value();
  ResourceStore store_;
  AdsClient client_;
  std::shared_ptr<const Snapshot> latest_;
  bool peaceful_ = false;
  int steps_ = 0;
  int peace_ = 0;
  int idle_ = 0;
};

}  // namespace
}  // namespace sockmesh::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  sockmesh::fuzz::Run({data, size}).run();
  return 0;
}
