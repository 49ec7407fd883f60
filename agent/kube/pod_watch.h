// SPDX-License-Identifier: Apache-2.0
// The pods of this node, as the API server says, and what the rules say of each: a list, then a
// watch that goes on from it. On a thread of its own, which tells others only what changed.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/backoff.h"
#include "base/clock.h"
#include "base/result.h"
#include "kube/api_client.h"
#include "kube/pod_json.h"
#include "kube/pod_rules.h"
#include "stats/agent_stats.h"

namespace sockmesh {

struct PodWatchOptions {
  ApiServer server;
  std::string node;  // whose pods
  std::vector<PodRule> rules;
  std::size_t pageSize = 500;  // pods
  Nanos listSilence = std::chrono::seconds(30);
  // The API server sends a bookmark about once a minute. A watch that is silent for longer than
  // this is ended and begun again from where it was.
  Nanos watchSilence = std::chrono::seconds(150);
  Nanos watchLength = std::chrono::minutes(5);  // after which the API server ends it
  Nanos firstDelay = std::chrono::milliseconds(500);
  Nanos longestDelay = std::chrono::seconds(30);
};

struct PodChange {
  std::string uid;  // as the pod's cgroup has it
  bool exists = true;
  std::optional<NamedPod> now;  // nothing: no rule names it
  bool operator==(const PodChange&) const = default;
};

struct PodNews {
  std::vector<PodChange> changes;  // in order
  PodWatchStats stats;             // after them

  // Adds what came later.
  void add(PodNews later);
};

class PodWatch {
 public:
  // Both are called on the watch's thread: `onThread` once, before anything else.
  struct Callbacks {
    std::function<void(PodNews)> onNews;
    std::function<void()> onThread;
  };
  static Result<std::unique_ptr<PodWatch>> start(PodWatchOptions options, Callbacks callbacks);
  // Waits for the thread.
  ~PodWatch();
  PodWatch(const PodWatch&) = delete;
  PodWatch& operator=(const PodWatch&) = delete;

 private:
  PodWatch(PodWatchOptions options, Callbacks callbacks, std::unique_ptr<ApiClient> client);
  void run(const std::stop_token& stop);
  Status turn();
  Status list();
  Result<std::string> page(const std::string& next);
  Status watch();
  Status takePiece(std::string_view piece);
  Status takeEvent(std::string_view line);
  Status refused(const ApiClient::Answer& answer);
  void put(const PodFacts& pod);
  void erase(const std::string& uid);
  void count(const std::optional<NamedPod>& decision, std::uint64_t by);
  void setWatching(bool watching);
  void noteFailure(const Error& error);
  void tell();

  PodWatchOptions options_;
  Callbacks callbacks_;
  std::unique_ptr<ApiClient> client_;
  Backoff backoff_;
  std::string selector_;  // the query's beginning
  // What is known. nothing in the map: no rule names the pod.
  std::map<std::string, std::optional<NamedPod>> pods_;
  std::vector<PodChange> changes_;  // not told yet
  PodWatchStats stats_;
  std::string version_;         // where the watch goes on; "": a list is due
  std::string listFrom_ = "0";  // at least as new as this: "0" any state, "" the newest
  std::string line_;            // the beginning of an event
  std::jthread thread_;
};

}  // namespace sockmesh
