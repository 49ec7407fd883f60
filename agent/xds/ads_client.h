// Keeps a state-of-the-world ADS stream to the control plane: subscribes to clusters, their
// endpoints and listeners, answers every response with one ACK or NACK, and comes back after every
// loss. What was received stays valid while there is no connection, unless its TTL ends.
//
// Nothing queues up here: the next response is read when the one before is applied and whatever
// onSnapshot() posted to the loop has run, and a request is made when the one before is sent. A
// server that sends faster waits in HTTP/2's flow control; one that does not read is answered once
// for its latest response of a type.
#pragma once

#include <spdlog/spdlog.h>

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/event_loop.h"
#include "envoy/config/core/v3/core.pb.h"
#include "model/snapshot.h"
#include "stats/agent_stats.h"
#include "xds/ads_channel.h"
#include "xds/ads_stream.h"
#include "xds/backoff.h"
#include "xds/fetch_timers.h"
#include "xds/reservation_log.h"
#include "xds/resource_store.h"
#include "xds/sotw_subscription.h"

namespace sockmesh {

struct AdsClientOptions {
  AdsChannelOptions channel;
  // id, cluster, metadata and locality as the operator gave them; the client adds the user agent.
  envoy::config::core::v3::Node node;
  Nanos backoffBase = std::chrono::milliseconds(500);
  Nanos backoffMax = std::chrono::seconds(30);
  // LDS is asked for once the clusters came, so that VIPs arrive with their endpoints behind them;
  // a server that sends no clusters is not waited for longer than this.
  Nanos clusterWait = std::chrono::seconds(15);
};

// Everything here runs on the loop's thread, the callbacks too.
class AdsClient {
 public:
  struct Callbacks {
    // Something was added, changed or removed; at most once per turn of the loop.
    std::function<void(std::shared_ptr<const Snapshot>)> onSnapshot;
    // The numbers have changed; at most once per turn of the loop.
    std::function<void(const XdsStats&)> onStats;
  };

  // `loop` and `store` outlive the client.
  AdsClient(EventLoop& loop, ResourceStore& store, AdsClientOptions options, Callbacks callbacks);
  // As stop().
  ~AdsClient();
  AdsClient(const AdsClient&) = delete;
  AdsClient& operator=(const AdsClient&) = delete;

  // Connects, and keeps connecting until stop().
  void start();
  // Cancels the stream and waits until gRPC is done with it. No callback follows.
  void stop();

  const XdsStats& stats() const { return stats_; }

 private:
  using Response = AdsStream::Response;

  void connect();
  void onResponse(const Response& response);
  void onSent();
  void onClosed(const grpc::Status& status);
  void noteConnected(const Response& response);
  void noteAccepted(std::size_t type, const Response& response);
  void noteRejected(std::size_t type, const Response& response, const ApplyResult& result);
  void listRejected(std::size_t type, const ApplyResult& result);
  void endFetchOf(const std::vector<RejectedResource>& rejected);
  void onFetchTimeout(const std::string& edsName);
  void onExpiry();
  void send(SotwSubscription& subscription);
  void sendDueRequest();
  void scheduleFlush();
  void flush();
  void logKept(const std::vector<KeptVersion>& kept);
  void setExpiryTimer();
  void readNextAfterPosted();

  EventLoop& loop_;
  ResourceStore& store_;
  AdsClientOptions options_;
  Callbacks callbacks_;
  Backoff backoff_;
  FetchTimers fetchTimers_;
  std::vector<SotwSubscription> subscriptions_;  // in the order of their requests
  XdsStats stats_;                               // types parallel to subscriptions_
  ReservationLog reservations_;
  std::set<std::string> keptLogged_;

  std::unique_ptr<AdsStream> stream_;
  EventLoop::TimerId retryTimer_ = 0;
  EventLoop::TimerId clusterTimer_ = 0;
  EventLoop::TimerId expiryTimer_ = 0;
  bool nodeSent_ = false;         // on this stream
  bool listenersWanted_ = false;  // LDS may be asked for; stays so over streams
  bool readDue_ = false;          // a response was taken and the next one not asked for yet
  bool flushScheduled_ = false;
  bool snapshotChanged_ = false;
  std::uint64_t repeatedFailures_ = 0;  // with the same error, since it was last logged
  Nanos failureLogged_{0};              // CLOCK_MONOTONIC
  SystemClock clock_;
  std::shared_ptr<spdlog::logger> log_;
  std::shared_ptr<int> alive_ = std::make_shared<int>();  // posted tasks hold it weakly
};

}  // namespace sockmesh
