// SPDX-License-Identifier: Apache-2.0
// Keeps an ADS stream to the control plane: subscribes to every type of the table in
// store/resource_type.h, answers every response with one ACK or NACK, and comes back after every
// loss. What was received stays valid while there is no connection, unless its TTL ends. The client
// names no resource type, and works the same in each protocol.
//
// Nothing queues up here. The next response is read when the response before is applied and
// everything that onSnapshot() posted to the loop has run. A request is made when the request
// before is sent. A server that sends faster waits in HTTP/2's flow control. A server that does not
// read is answered once, for its latest response of a type.
#pragma once

#include <spdlog/spdlog.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "ads/ads_channel.h"
#include "ads/ads_protocol.h"
#include "ads/not_honoured_log.h"
#include "ads/resource_timers.h"
#include "base/backoff.h"
#include "base/event_loop.h"
#include "envoy/config/core/v3/core.pb.h"
#include "model/snapshot.h"
#include "stats/agent_stats.h"
#include "store/resource_store.h"

namespace sockmesh {

struct AdsClientOptions {
  AdsChannelOptions channel;
  // Targets of further control planes. A server that cannot be reached is followed by the next one
  // at once; after the last one there is a wait. A lost connection begins with `channel` again.
  std::vector<std::string> fallbackTargets;
  // They outlive the client. `fallback` is spoken to a server that answers the other one with
  // UNIMPLEMENTED; null: none is. Each stream tries `protocol` first.
  const AdsProtocol* protocol = &sotwProtocol();
  const AdsProtocol* fallback = nullptr;
  // id, cluster, metadata and locality as the operator gave them; the client adds the user agent.
  envoy::config::core::v3::Node node;
  Nanos backoffBase = std::chrono::milliseconds(500);
  Nanos backoffMax = std::chrono::seconds(30);
  // A type that is asked for after another one (listeners after clusters, so that VIPs arrive with
  // their endpoints behind them) waits no longer than this for a server that does not send the
  // other.
  Nanos firstResponseWait = std::chrono::seconds(15);
  // A type that only adds to others, and that a stream left unanswered when it ended, is not asked
  // for this long: the server may not know it. After each further such stream twice as long.
  Nanos unansweredRest = std::chrono::minutes(1);
  Nanos longestUnansweredRest = std::chrono::hours(1);
  // From one snapshot to the next, at least; one after a longer pause is told at once.
  Nanos tellInterval = std::chrono::milliseconds(3);
  // A server that has nothing new to say is silent. A stream that stays open for this long after
  // its first request counts as connected.
  Nanos quietConnection = std::chrono::seconds(2);
  // Some servers answer each rejection with what was rejected. From the second time on, such a
  // response of the state of the world is rejected only after this long.
  Nanos repeatedRejectionWait = std::chrono::seconds(1);
};

// Everything here runs on the loop's thread, the callbacks too.
class AdsClient {
 public:
  struct Callbacks {
    // Called before each look at what is wanted and what has changed: other sources put what they
    // have into the store. Returns whether that changed the snapshot. May be null.
    std::function<bool()> onOtherSources;
    // Called when something was added, changed or removed. At most once per turn of the loop.
    std::function<void(std::shared_ptr<const Snapshot>)> onSnapshot;
    // Called with what became of each response that was asked for, once it is applied. `server` is
    // who sent it. May be null.
    std::function<void(const ResourceType& type, const Update& update, const ApplyResult& result,
                       const std::string& server)>
        onAnswer;
    // Called when resources of this type were dropped because their TTL was over. May be null.
    std::function<void(const ResourceType& type)> onExpired;
    // Called when the numbers have changed. At most once per turn of the loop.
    std::function<void(const XdsStats&)> onStats;
  };

  // `loop` and `store` outlive the client. What settings make the store want is known by now.
  AdsClient(EventLoop& loop, ResourceStore& store, AdsClientOptions options);
  // As stop().
  ~AdsClient();
  AdsClient(const AdsClient&) = delete;
  AdsClient& operator=(const AdsClient&) = delete;

  // The store was given a cache that was written at `writtenAt`, CLOCK_REALTIME. What it holds is
  // in force from start() on, and stale until the control plane has spoken. Call before start().
  void noteRestored(Nanos writtenAt) { restoredAt_ = writtenAt; }
  // Connects, and keeps connecting until stop(). Without a target it connects to nobody, and only
  // passes on what other sources put into the store. The callbacks may use the client: it exists
  // before they do. Nothing happens if the client is started already.
  void start(Callbacks callbacks);
  // Cancels the stream and waits until gRPC is done with it. No callback follows.
  void stop();

  const XdsStats& stats() const { return stats_; }
  // Another source has news: onOtherSources() is called soon.
  void noteOtherSources() { scheduleFlush(); }
  // What is wrong with files, by path.
  void noteFileProblems(const std::map<std::string, std::string>& problems);
  // What is wrong with the cache; "": nothing.
  void noteCacheProblem(const std::string& problem);
  // Where the audit log is. Call before start().
  void noteAuditLog(const std::string& path) { stats_.auditLog = path; }
  // What is wrong with the audit log; "": nothing.
  void noteAuditProblem(const std::string& problem);

 private:
  // One type of the table.
  struct Type {
    const ResourceType* row = nullptr;
    std::unique_ptr<Subscription> subscription;  // of protocol_
    std::unique_ptr<Subscription> resting;       // of the other protocol, as it was left; or null
    std::optional<std::uint64_t> namesRevision;  // of the names that `subscription` has
    bool heard = false;                          // a response on this stream
    std::string rejection;                       // of the latest response; "": it was accepted
    EventLoop::TimerId rejectionTimer = 0;       // not 0: the answer is kept back until then
    XdsTypeStats stats;

    bool byName() const { return row->scope == ResourceType::Scope::kByName; }
  };

  ResourceTimers::Events timerEvents();
  Type* find(std::string_view url);
  void connect();
  void openStream();
  std::size_t servers() const { return 1 + options_.fallbackTargets.size(); }
  const std::string& targetOf(std::size_t server) const;
  const std::string& target() const { return targetOf(server_); }
  Nanos nextServer(bool wasConnected);
  void logFailure(std::size_t server, bool wasConnected, const std::string& reason, Nanos delay);
  void speak(const AdsProtocol& protocol);
  bool fallBack(const grpc::Status& status);
  void onUpdate(const Update& update);
  void onSent();
  void onClosed(const grpc::Status& status);
  void useRestored();
  void confirm(const ResourceType* type);
  void awaitQuiet();
  void noteConnected(const std::string& controlPlane);
  std::string describeServer(const Update& update) const;
  static std::string describe(const Type& type, const Update& update);
  void noteAccepted(Type& type, const Update& update);
  void noteRejected(Type& type, const Update& update, const ApplyResult& result);
  static void listRejected(Type& type, const Update& update, const ApplyResult& result);
  void pace(Type& type, const std::string& rejection);
  void release(Type& type);
  void beginAsking(Type& type);
  void doWithout(Type& type);
  void onRest(const ResourceType& row, Nanos length);
  void onFetchTimeout(const ResourceKey& key, bool changed);
  void onExpired(const std::vector<ResourceKey>& expired);
  void send(Subscription& subscription);
  void sendDueRequest();
  void updateNames();
  void scheduleFlush();
  void flush();
  void tellInTurn();
  void tell();
  void publishSnapshot();
  void updateStats();
  void logHeld(const std::vector<HeldVersion>& held);
  void readNextAfterPosted();

  EventLoop& loop_;
  ResourceStore& store_;
  AdsClientOptions options_;
  std::optional<Nanos> restoredAt_;  // until start()
  Callbacks callbacks_;
  Backoff backoff_;
  ResourceTimers timers_;
  std::vector<Type> types_;                    // in the order of their requests
  XdsStats stats_;                             // `types` as of the last flush
  std::set<const ResourceType*> unconfirmed_;  // of which the store has the cache's resources
  NotHonouredLog notHonoured_;
  std::set<std::string> heldLogged_;

  const AdsProtocol* protocol_ = nullptr;  // spoken on stream_
  bool fallbackLogged_ = false;
  std::unique_ptr<AdsStream> stream_;
  EventLoop::TimerId retryTimer_ = 0;
  EventLoop::TimerId quietTimer_ = 0;
  EventLoop::TimerId tellTimer_ = 0;  // something is to be told then
  Nanos toldAt_{0};                   // CLOCK_MONOTONIC
  bool nodeSent_ = false;             // on this stream
  bool readDue_ = false;              // a response was taken and the next one not asked for yet
  bool flushScheduled_ = false;
  bool snapshotChanged_ = false;
  // What was last logged of a server that cannot be reached.
  struct Failure {
    std::string reason;
    Nanos loggedAt{0};        // CLOCK_MONOTONIC
    std::uint64_t count = 0;  // since a connection
  };
  std::vector<Failure> failures_;  // by server
  std::size_t server_ = 0;         // 0: `channel`; others: fallbackTargets
  SystemClock clock_;
  std::shared_ptr<spdlog::logger> log_;
  std::shared_ptr<int> alive_ = std::make_shared<int>();  // posted tasks hold it weakly
};

}  // namespace sockmesh
