// SPDX-License-Identifier: Apache-2.0
// A file with a line of JSON for each response of the control plane that was accepted or rejected:
// when, of which server, type and version, and what changed by resource and field. docs/history.md
// has the form. A thread of its own has a copy of all resources, compares and writes, so the
// configuration thread pays for changes alone and never waits for a disk.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "store/resource_store.h"

namespace sockmesh {

struct AuditOptions {
  std::string path;                                   // empty: no log
  std::uint64_t maxBytes = std::uint64_t{10} << 20U;  // of a file
  std::uint32_t maxFiles = 10;                        // with the one that grows
};

class AuditLog final : public ResourceObserver {
 public:
  // Gets what went wrong with a line, or "" after a line that went well again. Called on the log's
  // thread.
  using OnResult = std::function<void(const std::string& problem)>;

  // Observes `store`, which outlives the log. Configuration thread, as all below.
  AuditLog(ResourceStore& store, AuditOptions options, OnResult onResult);
  // Writes what is due.
  ~AuditLog() override;
  AuditLog(const AuditLog&) = delete;
  AuditLog& operator=(const AuditLog&) = delete;

  // What became of a response of `server`. What the store held and dropped since the last record
  // is what it changed.
  void answered(const ResourceType& type, const Update& update, const ApplyResult& result,
                const std::string& server);
  // The store dropped resources of this type, because their TTL was over.
  void expired(const ResourceType& type);
  // The agent begins; `restored`: with what a cache held. The store holds these resources, and the
  // log does not list them.
  void begun(bool restored);

 private:
  using Contents = std::map<ResourceKey, std::optional<std::string>>;  // nothing: dropped
  // What a line is made of.
  struct Record {
    Nanos at{0};  // CLOCK_REALTIME
    std::string result;
    std::string server;
    std::string type;
    std::string version;
    std::string nonce;
    std::vector<RejectedResource> errors;
    Contents contents;
    std::uint64_t missed = 0;  // records before it that there was no room for
    bool listed = true;        // whether its changes are

    std::size_t bytes() const;
  };
  class Writer;

  void held(const ResourceKey& key, const std::string& version, std::string_view content,
            std::optional<Nanos> ttl) override;
  void dropped(const ResourceKey& key) override;
  void note(Record record);
  void run();

  ResourceStore& store_;
  AuditOptions options_;
  OnResult onResult_;
  SystemClock clock_;
  Contents changes_;  // since the last record

  std::mutex mutex_;  // guards what follows
  std::condition_variable noted_;
  std::vector<Record> records_;
  std::size_t waiting_ = 0;  // bytes of records_
  bool ending_ = false;
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace sockmesh
