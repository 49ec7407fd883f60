// SPDX-License-Identifier: Apache-2.0
// Make before break: which version of a cluster or listener is in force while the newest one still
// waits for endpoints. The newest version is what the control plane said last; the version in force
// is what connections get.
//
// A cluster version is *ready* once its endpoints are known: it is of type EDS and the assignment
// of its EDS name has come, or the time for that is over; or it is a DNS cluster whose names were
// resolved, or failed, once; or it is of another type.
//
//   newest version of a cluster | version in force  | in force then
//   ----------------------------+-------------------+--------------------------------------------
//   any                         | none or not ready | the newest: there is nothing to keep
//   ready                       | ready             | the newest
//   not ready                   | ready             | the present one, until the newest is ready
//   removed by the server       | not ready         | none
//   removed by the server       | ready             | the present one, while listeners in force
//                               |                   | point at it; then none
//   expired (its TTL is over)   | any               | none
//
// A listener version *waits* while it points at a cluster that is not ready. It does not wait for a
// cluster that the version in force also points at, as long as another of its clusters is ready: a
// cluster that is never answered would otherwise hold up every change. A cluster that does not
// exist is not waited for. A listener *serves* where the version in force points at a ready
// cluster.
//
//   newest version of a listener | version in force | in force then
//   -----------------------------+------------------+--------------------------------------------
//   does not wait                | any              | the newest
//   waits                        | serves           | the present one, until the newest waits no
//                                |                  | more
//   waits                        | does not serve   | the newest, except where it takes over a VIP
//                                |                  | that another listener serves and gives up:
//                                |                  | then none
//   gives up a VIP which a       | serves           | the present one, as long as the other one
//   waiting listener takes over  |                  | waits
//   expired                      | any              | none
//
// "Listener" means a part of one here: the addresses that one route leads to. A part changes with
// its listener and with the listener's routes, see store/listener_set.h.
//
// A version that is replaced while it waits is forgotten: only the newest one is waited for.
//
// Warming also knows which names the versions want of other types, and for how long each name may
// stay unanswered. It knows no streams, clocks or responses: ads/resource_timers.h has the timers.
// One thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "model/snapshot.h"
#include "store/listener_set.h"
#include "store/wanted_names.h"
#include "store/workload_index.h"

namespace sockmesh {

class Warming {
 public:
  using ClusterPtr = std::shared_ptr<const Cluster>;
  using EndpointsPtr = std::shared_ptr<const LoadAssignment>;

  // `inForce` is the snapshot to keep: its resources, its lists for people and what `changed`.
  // `wantedOf` gives the set of names of a type, by URL. This object puts into the set what
  // versions of other types want. `inForce` and the names outlive this.
  Warming(Snapshot& inForce, const std::function<WantedNames&(std::string_view url)>& wantedOf);

  // What the control plane says now. In force at settle(), by the tables above.
  void setCluster(const std::string& name, ClusterPtr newest);
  void removeCluster(const std::string& name);
  void setListener(const std::string& name, ListenerSet::ListenerPtr newest);
  void removeListener(const std::string& name);
  void setRoutes(const std::string& name, ListenerSet::RoutesPtr newest);
  void removeRoutes(const std::string& name);
  void setNames(ListenerSet::NamesPtr newest);  // null: none
  // In force at once.
  // The names of a DNS cluster were resolved. False where no version wants these endpoints.
  bool setResolved(const std::string& resolvedName, EndpointsPtr newest);
  void setEndpoints(const std::string& edsName, EndpointsPtr newest);
  void removeEndpoints(const std::string& edsName);
  // Whether a cluster that is absent does not exist, see Snapshot. In force at once; true where
  // that differs from before.
  bool setClustersListed(bool listed);
  // The TTL is over: the resource is out of force at once.
  void expireCluster(const std::string& name);
  void expireListener(const std::string& name);

  // Brings into force what may be in force by now. Call after each change, and after endpoints
  // became known. True if the versions in force changed. The cost grows with what is pending, not
  // with what exists.
  bool settle();
  // What versions want of DNS otherwise than at the call before, by the name of the endpoints;
  // null: nothing any more.
  using Discoveries = std::map<std::string, std::shared_ptr<const DnsDiscovery>>;
  Discoveries takeDnsChanges();
  bool dnsHasChanges() const { return !dnsChanges_.empty() || listeners_.hasServiceNames(); }
  // Names of services without a VIP, see ListenerSet. New addresses are in force at settle().
  void resolveServices(bool resolve) { listeners_.resolveServices(resolve); }
  void setServiceAddresses(const std::string& name, const std::vector<IpAddress>& addresses) {
    listeners_.setServiceAddresses(name, addresses);
  }
  std::map<std::string, bool> takeServiceNames() { return listeners_.takeServiceNames(); }
  // Brings the snapshot's lists for people up to date, before it is handed out.
  void describe();

  // Whether a cluster that serves is to be replaced by a version that waits for `edsName`.
  bool replacementWaitsFor(const std::string& edsName) const;
  // Whether a name table may add VIPs, see ListenerSet.
  bool usesIstiodNames() const { return listeners_.usesIstiodNames(); }
  // Nobody waits for workloads.
  WorkloadIndex& workloads() { return workloads_; }
  const WorkloadIndex& workloads() const { return workloads_; }
  // Whether a listener in use is to be replaced by a version that waits for these routes.
  bool listenerWaitsFor(const std::string& routes) const;

 private:
  using Taken = std::pair<Vip, Protocol>;
  using Givers = std::multimap<Taken, std::string>;
  template <typename T>
  using Pending = std::map<std::string, std::optional<T>>;

  bool ready(const Cluster& cluster) const;
  bool readyInForce(const std::string& cluster) const;
  bool serves(const std::string& listener) const;
  const Listener* inForce(const std::string& listener) const;
  std::set<std::string> waitsFor(const std::string& name,
                                 const std::optional<ListenerPart>& newest) const;
  Givers givers() const;
  std::set<std::string> heldListeners() const;
  void want(const Cluster& version);
  void unwant(const Cluster& version);
  void dropPendingCluster(const std::string& name);
  void enforceCluster(const std::string& name, const std::optional<ClusterPtr>& newest);
  void enforceListener(const std::string& name, const std::optional<ListenerPart>& newest);
  void countLegs(const std::string& listener, int by);
  bool settleClusters();
  bool settleListeners();
  bool dropUnused();
  void dropResolved();
  std::vector<HeldVersion> heldVersions() const;

  Snapshot& inForce_;
  WantedNames& endpoints_;  // EDS names
  WantedNames resolved_;    // of DNS clusters
  Discoveries dnsChanges_;
  // Newest versions that are not in force; nothing: removed.
  Pending<ClusterPtr> pendingClusters_;
  Pending<ListenerPart> pendingListeners_;
  ListenerSet listeners_;
  WorkloadIndex workloads_{inForce_};
  // Legs of listeners in force, by the cluster that they point at.
  NameMap<int> legs_;
  bool expired_ = false;  // something went out of force since settle()
};

}  // namespace sockmesh
