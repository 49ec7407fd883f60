// SPDX-License-Identifier: Apache-2.0
// Endpoints of DNS clusters: asks for the names that versions in the store want, and puts what they
// resolve to into the store. So it does with the names of services without a VIP, where the store
// wants them and a DNS cluster is theirs. Configuration thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "base/event_loop.h"
#include "dns/name_resolver.h"
#include "dns/name_schedule.h"
#include "model/unknowns.h"
#include "sources/dns_memory.h"
#include "stats/agent_stats.h"
#include "store/resource_store.h"

namespace sockmesh {

class DnsSource {
 public:
  struct Events {
    std::function<void()> onNews;   // an answer changes endpoints: sync() is due
    std::function<void()> onStats;  // an answer changes stats() alone
  };

  // `loop` and `store` outlive this.
  DnsSource(EventLoop& loop, ResourceStore& store, std::unique_ptr<NameResolver> resolver,
            Events events);
  ~DnsSource();
  DnsSource(const DnsSource&) = delete;
  DnsSource& operator=(const DnsSource&) = delete;

  // From now on, the last good answers are kept, and those that were kept count until there are
  // others. Call before the first sync().
  void remember(std::unique_ptr<DnsMemory> memory) { memory_ = std::move(memory); }
  // It is known which names are wanted: what was kept of others goes.
  void forgetUnused();
  // Takes up what is newly wanted of DNS, and puts what was resolved into the store. True where
  // that changed the snapshot.
  bool sync();
  const DnsStats& stats() const { return stats_; }
  // Adds the clusters of which no name was ever resolved: an earlier agent may have known their
  // endpoints.
  void addUnknown(Unknowns& unknowns) const;

 private:
  struct Wanted {
    std::shared_ptr<const DnsDiscovery> discovery;
    std::shared_ptr<const LoadAssignment> endpoints;  // in the store; null: none yet
  };

  // A service that has no VIP except the addresses of its name.
  struct Service {
    bool wanted = false;             // by the store
    std::set<std::string> clusters;  // DNS clusters of this host, by the name of the endpoints
    std::optional<DnsQuestion> asked;
  };

  void addName(const std::string& user, const DnsQuestion& question, const DnsRefresh& refresh);
  void updateService(const std::string& host, const std::function<void(Service&)>& change);
  bool publishService(const std::string& host);
  void want(const std::string& name, std::shared_ptr<const DnsDiscovery> discovery);
  void unwant(const std::string& name);
  bool publish(const std::string& name);
  void ask();
  void onAnswer(const DnsQuestion& question, const DnsAnswer& answer);
  void refuse(const std::string& cluster, const std::string& why);
  void dropReleased();
  void note(const DnsQuestion& question);
  void noteProblem(const std::string& text, const KnownName* known);
  void noteHost(const std::string& text, const DnsQuestion& question, const KnownName* known);

  EventLoop& loop_;
  ResourceStore& store_;
  Events events_;
  SystemClock clock_;
  NameSchedule names_;
  std::map<std::string, Wanted> wanted_;     // by the name of the endpoints
  std::set<std::string> due_;                // of which more may be known than is in the store
  std::map<std::string, Service> services_;  // by host
  std::set<std::string> dueServices_;
  std::map<std::string, std::string> unknown_;  // clusters, by the name of the endpoints
  std::set<std::string> refused_;      // names of endpoints that exceed a limit, tried again
  std::set<DnsQuestion> released_;     // that a user has given up since the last sync()
  std::unique_ptr<DnsMemory> memory_;  // null: nothing is kept
  DnsStats stats_;
  EventLoop::TimerId timer_ = 0;
  std::unique_ptr<NameResolver> resolver_;  // last: it calls this
};

}  // namespace sockmesh
