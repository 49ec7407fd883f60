// SPDX-License-Identifier: Apache-2.0
// What is known of host names, over restarts of the agent and of the node: kept in the cache file.
// Configuration thread.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "dns/name_schedule.h"
#include "model/dns.h"
#include "store/resource_cache.h"

namespace sockmesh {

class DnsMemory {
 public:
  // `cache` outlives this.
  explicit DnsMemory(ResourceCache& cache);

  // What was known when the file was written, marked as stale. Nothing: the name was not known, or
  // this was asked before.
  std::optional<KnownName> recall(const DnsQuestion& question);
  // The last good answer. The same addresses in another order are not written again.
  void keep(const DnsQuestion& question, const KnownName& known);
  void forget(const DnsQuestion& question);
  // Drops what was never recalled. For when it is known which names are wanted.
  void dropUnused();

 private:
  ResourceCache& cache_;
  std::map<std::string, KnownName> restored_;  // by what the file calls the question
  std::map<std::string, KnownName> kept_;      // the same, with addresses in order
};

}  // namespace sockmesh
