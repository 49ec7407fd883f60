// SPDX-License-Identifier: Apache-2.0
// One client's state-of-the-world ADS conversation, without the transport: what the client asked
// for, what was sent, and what is still to be sent. A change reaches the client make-before-break:
// clusters, then endpoints, then listeners and routes. Unused clusters are removed last.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/event_loop.h"
#include "envoy/service/discovery/v3/discovery.pb.h"
#include "resource_set.h"

namespace sockmesh {

// Everything on the loop's thread.
class AdsSession {
 public:
  using Request = envoy::service::discovery::v3::DiscoveryRequest;
  using Response = envoy::service::discovery::v3::DiscoveryResponse;

  struct Hooks {
    std::function<void(Response)> send;
    // One readable line: an ACK, a NACK. Called with whether it is a problem.
    std::function<void(const std::string& line, bool problem)> log;
  };

  // How long a step of a change waits for the client's answer. After that the next step is sent.
  static constexpr Nanos kStepTimeout = std::chrono::seconds(1);

  AdsSession(EventLoop& loop, std::shared_ptr<const ResourceSet> resources, Hooks hooks,
             Nanos stepTimeout = kStepTimeout);
  ~AdsSession();
  AdsSession(const AdsSession&) = delete;
  AdsSession& operator=(const AdsSession&) = delete;

  void onRequest(const Request& request);
  // Brings the client from its present resources to `resources`.
  void onResources(std::shared_ptr<const ResourceSet> resources);

  // node.id of the first request, or "?".
  const std::string& nodeId() const { return nodeId_; }

 private:
  // What the client was told of one type.
  struct TypeState {
    bool wildcard = false;
    bool namedOnce = false;  // an empty list means "nothing" from then on
    std::set<std::string> names;
    ResourcesByName sent;
    std::string nonce;    // of the latest response
    std::string version;  // of the latest response
    bool unanswered = false;
  };
  enum class Step { kClusters, kAssignments, kListeners, kRoutes, kOthers, kUnusedClusters, kDone };

  void noteAnswer(const Request& request, TypeState& state);
  // Returns whether the subscription has changed.
  bool updateSubscription(const Request& request, TypeState& state) const;
  void answerSubscription(const std::string& typeUrl, TypeState& state, bool first);
  ResourcesByName subscribed(const std::string& typeUrl, const TypeState& state) const;
  void forgetAssignmentsOf(const ResourcesByName& held, const ResourcesByName& clusters);
  void send(const std::string& typeUrl, TypeState& state, const ResourcesByName& resources);

  // Takes the steps of a change that need no answer from the client.
  void advance();
  void enterStep(Step step);
  // The types that a step sends. Only types that the client asked for are sent.
  std::vector<std::string> typesOf(Step step) const;
  bool stepAnswered() const;
  void sendChanges(const std::string& typeUrl, bool keepRemoved);
  // Whether the client has yet to ask for endpoints that its new clusters need.
  bool awaitsAssignmentRequests() const;

  EventLoop& loop_;
  std::shared_ptr<const ResourceSet> resources_;
  Hooks hooks_;
  Nanos stepTimeout_;
  std::map<std::string, TypeState> types_;  // by type URL, of the types asked for
  std::string nodeId_ = "?";
  std::uint64_t nextNonce_ = 1;
  Step step_ = Step::kDone;
  std::set<std::string> neededAssignments_;  // EDS names of the clusters of a change under way
  EventLoop::TimerId stepTimer_ = 0;
};

// EDS and RDS are answered by name. A response of every other type is the whole set.
bool isFullSetType(const std::string& typeUrl);

}  // namespace sockmesh
