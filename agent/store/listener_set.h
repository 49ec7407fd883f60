// SPDX-License-Identifier: Apache-2.0
// The listeners with their routes: which version of each listener is in use, and the parts that the
// versions in use have. A changed listener or route configuration changes only those parts that
// differ.
//
// As in Envoy, a new version of a listener waits for its route configurations, and the version in
// use goes on. A version that no connection is served by does not wait: what is known of it is
// used, and the rest follows. A new version of a route configuration is in use at once.
// Warming (store/warming.h) decides when a part is in force. One thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/name.h"
#include "base/rare.h"
#include "decode/listener_parts.h"
#include "model/snapshot.h"
#include "store/wanted_names.h"

namespace sockmesh {

class ListenerSet {
 public:
  using ListenerPtr = std::shared_ptr<const DecodedListener>;
  using RoutesPtr = std::shared_ptr<const RouteConfig>;
  using NamesPtr = std::shared_ptr<const NameTable>;
  // By name of the part; nothing: the part is gone.
  using ChangedParts = std::map<std::string, std::optional<ListenerPart>>;

  // `wanted` are the names of route configurations, kept here; it outlives this.
  explicit ListenerSet(WantedNames& wanted) : wanted_(wanted) {}

  void set(const std::string& name, ListenerPtr newest);
  void remove(const std::string& name);
  // Forgets the listener. Returns the names of the parts that it had.
  std::vector<std::string> drop(const std::string& name);
  void setRoutes(const std::string& name, RoutesPtr newest);
  void removeRoutes(const std::string& name);

  void setNames(NamesPtr newest);  // null: none
  // Whether the addresses of the names of services without a VIP become VIPs. Before all else.
  void resolveServices(bool resolve) { resolvesServices_ = resolve; }
  // What such a name resolves to; empty: nothing.
  void setServiceAddresses(const std::string& name, const std::vector<IpAddress>& addresses);
  // Names that are wanted since the last call (true), or wanted no more (false).
  std::map<std::string, bool> takeServiceNames() { return std::exchange(serviceNames_, {}); }
  bool hasServiceNames() const { return !serviceNames_.empty(); }

  // Takes newest versions into use where they do not wait, and returns the parts that differ since
  // the last call. `serves` says of a part whether connections are served by it.
  ChangedParts takeChanged(const std::function<bool(const std::string& part)>& serves);

  // Whether a version in use is to be replaced by one that waits for these routes.
  bool replacementWaitsFor(const std::string& routes) const;

  // Whether a virtual host that has an address led to a cluster with a name of istiod's form.
  bool usesIstiodNames() const { return usesIstiodNames_; }
  // Listeners in use.
  std::size_t size() const { return listeners_.size(); }
  // Route configurations that have come, or count as absent.
  std::size_t routes() const { return routes_.size(); }
  bool hasNames() const { return names_ != nullptr; }
  // Of listeners in use. The cost grows with what is missing.
  std::vector<MissingRoutes> missing() const;
  // Listeners whose newest version waits, and for what.
  std::vector<HeldVersion> held() const;

 private:
  struct Entry {
    ListenerPtr inUse;
    ListenerPtr newest;  // not in use yet; null: there is none
    std::map<std::string, ListenerPart> parts;
    std::set<std::string> services;  // names that its parts depend on
  };

  void want(const DecodedListener& version);
  void unwant(const DecodedListener& version);
  std::set<std::string> waitsFor(const DecodedListener& version) const;
  void use(const std::string& name, Entry& entry);
  void release(const std::string& name, Entry& entry);
  void claim(const std::string& listener, ListenerPart& part);
  void takeApart(const std::string& name, ChangedParts& changed);
  void routesChanged(const std::string& name);
  void noteMissing(const std::string& name);
  void useServices(const std::string& listener, Entry& entry, std::set<std::string> names);

  WantedNames& wanted_;
  std::map<std::string, Entry> listeners_;
  std::map<std::string, RoutesPtr> routes_;
  NamesPtr names_;
  bool usesIstiodNames_ = false;
  bool resolvesServices_ = false;
  NameTable resolved_;                                         // names of services
  std::map<std::string, std::set<std::string>> serviceUsers_;  // listeners in use, by such a name
  std::map<std::string, bool> serviceNames_;                   // since takeServiceNames()
  std::map<std::string, std::set<std::string>> users_;  // listeners in use, by route configuration
  std::set<std::string> missing_;                       // names in users_ of which none has come
  std::set<std::string> waiting_;                       // listeners with a newest version
  std::set<std::string> touched_;                       // listeners to take apart again
  NameMap<Name> owners_;                                // listeners, by name of their parts
  std::vector<std::string> gone_;                       // parts of listeners that were removed
};

}  // namespace sockmesh
