// SPDX-License-Identifier: Apache-2.0
// One client's ADS conversation, without the transport: what the client asked for, what was sent,
// and what is still to be sent. A change reaches the client make-before-break: clusters, then
// endpoints, then listeners and routes. Unused clusters are removed last. Each protocol has a
// session of its own, which says how requests are read and responses are made.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/event_loop.h"
#include "envoy/service/discovery/v3/discovery.pb.h"
#include "resource_set.h"

namespace sockmesh {

// Everything on the loop's thread.
class AdsSession {
 public:
  // One readable line: an ACK, a NACK. Called with whether it is a problem.
  using Log = std::function<void(const std::string& line, bool problem)>;

  // How long a step of a change waits for the client's answer. After that the next step is sent.
  static constexpr Nanos kStepTimeout = std::chrono::seconds(1);

  virtual ~AdsSession();
  AdsSession(const AdsSession&) = delete;
  AdsSession& operator=(const AdsSession&) = delete;

  // Brings the client from its present resources to `resources`.
  void onResources(std::shared_ptr<const ResourceSet> resources);

  // node.id of the first request, or "?".
  const std::string& nodeId() const { return nodeId_; }

 protected:
  // What the client was told of one type.
  struct TypeState {
    bool wildcard = false;
    bool namedOnce = false;  // state of the world: an empty list means "nothing" from then on
    std::set<std::string> names;
    ResourcesByName sent;
    std::string nonce;    // of the latest response
    std::string version;  // of the latest response
    bool unanswered = false;
  };
  // What a response says to the client's latest one.
  struct Answer {
    std::string nonce;  // "": none
    bool rejected = false;
    std::string message;  // where it is rejected
  };

  AdsSession(EventLoop& loop, std::shared_ptr<const ResourceSet> resources, Log log,
             Nanos stepTimeout);

  // Sends what differs from what the client holds. `keepRemoved`: what is gone may stay for now.
  virtual void sendChanges(const std::string& typeUrl, TypeState& state, bool keepRemoved) = 0;

  // What the requests of both protocols have in common: the answer in one is noted.
  template <typename Request>
  void noteAnswerIn(const Request& request, TypeState& state) {
    noteAnswer(
        request.type_url(), state,
        {request.response_nonce(), request.has_error_detail(), request.error_detail().message()});
  }
  // And their responses: what a new one begins with.
  template <typename Response>
  Response newResponse(const std::string& typeUrl, TypeState& state, std::string version) {
    beginResponse(state, std::move(version));
    Response response;
    response.set_type_url(typeUrl);
    response.set_nonce(state.nonce);
    response.mutable_control_plane()->set_identifier("sockmesh-xds");
    return response;
  }
  void noteNode(const envoy::config::core::v3::Node& node);
  ResourcesByName subscribed(const std::string& typeUrl, const TypeState& state) const;
  // A client warms a changed cluster until it has received its endpoints again, also if they are
  // the same. Envoy waits for up to 15 seconds.
  void forgetAssignmentsOf(const ResourcesByName& held, const ResourcesByName& clusters);
  // Takes the steps of a change that need no answer from the client. To be called after each
  // request.
  void advance();

  const ResourceSet& resources() const { return *resources_; }
  std::map<std::string, TypeState>& types() { return types_; }

 private:
  void noteAnswer(const std::string& typeUrl, TypeState& state, const Answer& answer);
  // Its version and nonce.
  void beginResponse(TypeState& state, std::string version);
  enum class Step { kClusters, kAssignments, kListeners, kRoutes, kOthers, kUnusedClusters, kDone };

  void enterStep(Step step);
  // The types that a step sends. Only types that the client asked for are sent.
  std::vector<std::string> typesOf(Step step) const;
  bool stepAnswered() const;
  // Whether the client has yet to ask for endpoints that its new clusters need.
  bool awaitsAssignmentRequests() const;

  EventLoop& loop_;
  std::shared_ptr<const ResourceSet> resources_;
  Log log_;
  Nanos stepTimeout_;
  std::map<std::string, TypeState> types_;  // by type URL, of the types asked for
  std::string nodeId_ = "?";
  std::uint64_t nextNonce_ = 1;
  Step step_ = Step::kDone;
  std::set<std::string> neededAssignments_;  // EDS names of the clusters of a change under way
  EventLoop::TimerId stepTimer_ = 0;
};

// EDS and RDS are answered by name. Every other type may be asked for by wildcard.
bool isFullSetType(const std::string& typeUrl);
// Whether `held` has this resource with the same content.
bool heldUnchanged(const ResourcesByName& held, const ResourcesByName::value_type& resource);

}  // namespace sockmesh
