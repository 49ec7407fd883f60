// SPDX-License-Identifier: Apache-2.0
// The configuration thread, and what is on it: resources of the control plane, of files and of DNS
// become a Snapshot, and the Snapshot becomes tables.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "ads/ads_client.h"
#include "base/loop_thread.h"
#include "base/result.h"
#include "config/config.h"
#include "daemon/not_honoured_stats.h"
#include "daemon/table_maker.h"
#include "daemon/unknowns_finder.h"
#include "sources/dns_source.h"
#include "sources/file_source.h"
#include "sources/udp_services.h"
#include "store/audit_log.h"
#include "store/resource_cache.h"
#include "store/resource_store.h"

namespace sockmesh {

class ConfigurationThread {
 public:
  // What the thread tells besides tables.
  struct News {
    XdsStats xds;
    DnsStats dns;
    std::optional<NotHonouredStats> notHonoured;  // nothing before the first snapshot
  };
  // All are called on this thread.
  struct Events {
    std::function<void(std::shared_ptr<const Snapshot>)> onSnapshot;
    std::function<void(MadeTables)> onTables;
    std::function<void(const ExpectedSize&)> onExpected;
    std::function<void(News)> onNews;
  };

  // `config` outlives this. `onThread` runs first on the thread, and returns before this does.
  // Nothing comes in before start().
  static Result<std::unique_ptr<ConfigurationThread>> create(const Config& config,
                                                             const std::function<void()>& onThread,
                                                             Events events);
  // No event is called afterwards.
  ~ConfigurationThread();
  ConfigurationThread(const ConfigurationThread&) = delete;
  ConfigurationThread& operator=(const ConfigurationThread&) = delete;

  // From other threads. Opens files, audit log and cache, and asks the control plane. Call it once.
  // Returns what is known at the beginning. An Error is about a setting, with its path.
  Result<XdsStats> start();
  // Who is ejected now. From other threads.
  void setOverlay(std::shared_ptr<const HealthOverlay> overlay);
  // The tables of the last onTables() are taken care of. `replaced` is freed on the thread.
  void taken(MadeTables replaced);

 private:
  ConfigurationThread(const Config& config, std::unique_ptr<LoopThread> thread, Events events);
  AdsClientOptions clientOptions() const;
  Status open();
  Status openFiles();
  void openDns();
  void openAuditLog();
  void openCache();
  AdsClient::Callbacks clientCallbacks();
  bool syncOtherSources();
  void takeSnapshot(std::shared_ptr<const Snapshot> snapshot);
  void tellNews();
  void returnMemorySoon();

  const Config& config_;
  Events events_;
  std::unique_ptr<LoopThread> thread_;
  std::unique_ptr<TableMaker> tables_;
  ResourceStore resources_;
  std::unique_ptr<FileSource> files_;
  std::unique_ptr<DnsSource> dns_;
  std::unique_ptr<AuditLog> audit_;       // null: there is none
  std::unique_ptr<ResourceCache> cache_;  // null: there is none
  NotHonouredCounter notHonoured_;
  std::optional<NotHonouredStats> notHonouredStats_;
  UnknownsFinder unknowns_;
  UdpServices udpServices_;
  bool returnsMemory_ = false;  // a timer is set
  std::unique_ptr<AdsClient> ads_;
};

}  // namespace sockmesh
