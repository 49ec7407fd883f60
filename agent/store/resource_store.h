// SPDX-License-Identifier: Apache-2.0
// The last good version of every resource, and the Snapshots of the versions in force. Knows
// resources, not streams: the ADS client hands it updates and turns its verdicts into ACKs and
// NACKs. It works by the table of resource types and names none of them. store/warming.h says which
// version is in force while endpoints are awaited. Configuration thread.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "model/snapshot.h"
#include "store/apply_result.h"
#include "store/resource_limits.h"
#include "store/resource_ttls.h"
#include "store/resource_type.h"
#include "store/update.h"

namespace sockmesh {

// Who wants to know what is held, for example to keep it on a disk.
class ResourceObserver {
 public:
  virtual ~ResourceObserver() = default;
  // A good version is held, or came again. `content` is the resource's own message, serialized, and
  // valid during the call. `ttl` is from now on.
  virtual void held(const ResourceKey& key, const std::string& version, std::string_view content,
                    std::optional<Nanos> ttl) = 0;
  // It is held no more.
  virtual void dropped(const ResourceKey& key) = 0;
};

// Where resources come from. Of a type that is subscribed to by wildcard, each source has a list of
// its own, and a name belongs to the source that has had it first.
enum class ResourceSource : std::uint8_t { kControlPlane, kFile, kStatic };

class ResourceStore {
 public:
  ResourceStore();
  ~ResourceStore();

  // Told from now on, until unobserve().
  void observe(ResourceObserver& observer);
  void unobserve(ResourceObserver& observer);

  // From now on; what is held already stays.
  void limit(const ResourceLimits& limits);

  // Takes in an update of one of our types. Of a type that is subscribed to by wildcard, a
  // state-of-the-world update is a complete set: what is absent is removed (a rejected name that is
  // present stays; nothing is removed while the name of a rejected one is unknown, or by an update
  // of heartbeats alone for the version held). Of a type that is subscribed to by name, names that
  // no resource wants are ignored. Of several resources with one name the first counts. Resources
  // may come in discovery.v3.Resource wrappers. A resource that is no protobuf rejects the whole
  // update. `now` (CLOCK_MONOTONIC) is when TTLs start.
  //
  // A delta update removes what it names, of a type that is subscribed to by wildcard. Of a type
  // that is subscribed to by name it removes nothing: what is held goes when nobody wants it, and
  // what never came may still come, until its initial_fetch_timeout is over.
  //
  // Versions, TTLs and the observers are of the control plane's resources alone.
  ApplyResult apply(const Update& update, Nanos now = Nanos(0),
                    ResourceSource source = ResourceSource::kControlPlane);
  // What versions of DNS clusters want resolved otherwise than at the call before, by the name of
  // the endpoints; null: nothing any more.
  std::map<std::string, std::shared_ptr<const DnsDiscovery>> takeDnsChanges();
  // Whether one of the two take functions has something.
  bool dnsHasChanges() const;
  // From now on, workloads are wanted, see WorkloadIndex. Call first.
  void useWorkloads();
  // From now on, the addresses of the names of services without a VIP become VIPs. Call first.
  void resolveServices();
  // The names of such services: wanted since the call before (true), or wanted no more (false).
  std::map<std::string, bool> takeServiceNames();
  // What such a name resolves to. True where that changed the snapshot.
  bool setServiceAddresses(const std::string& name, const std::vector<IpAddress>& addresses);
  // The endpoints of a DNS cluster. True where that changed the snapshot. An Error names the limit
  // that they exceed; what was there stays.
  Result<bool> setResolved(const std::string& resolvedName,
                           std::shared_ptr<const LoadAssignment> newest);
  // There is no control plane: what the other sources have said is all there is. True where that
  // changed the snapshot.
  bool closeLists();

  // What to ask the control plane for, of a type that is subscribed to by name: the names that
  // versions want, those in force and those that will be, sorted. A resource that is wanted no more
  // is forgotten.
  std::vector<std::string> wanted(const ResourceType& type) const;
  // The same of what files have, see decode/file_names.h.
  std::vector<std::string> wantedOfFiles(const ResourceType& type) const;
  // Whether a wanted name has come, or counts as absent.
  bool hasArrived(const ResourceKey& key) const;
  // Goes up whenever wanted(type) changes.
  std::uint64_t wantedRevision(const ResourceType& type) const;
  // Whether to ask for the type, see ResourceType::needed.
  bool needs(const ResourceType& type) const;
  // Wanted names of all types that have not arrived, with the initial_fetch_timeout of the version
  // that wants them (0: wait for ever); of several versions, the longest.
  std::map<ResourceKey, Nanos> missing() const;
  // initial_fetch_timeout has passed: what is missing counts as absent. True where that changed the
  // snapshot.
  bool fetchTimedOut(const ResourceKey& key);
  // The first resource of this name was rejected. As fetchTimedOut(), except where a version that
  // serves would be replaced: it keeps serving, and the time-out decides.
  bool fetchRejected(const ResourceKey& key);

  // When the first resource expires (Resource.ttl); nothing: none does.
  std::optional<Nanos> nextExpiry() const;
  // Removes what has expired at `now`, and says what; that changed the snapshot.
  std::vector<ResourceKey> expire(Nanos now);

  // Drops all that the control plane has sent of a type that is subscribed to by wildcard. True
  // where that changed the snapshot.
  bool forget(const ResourceType& type);
  // What the server sent of this type and is held.
  ResourceVersions versions(const ResourceType& type) const;
  // Previous versions in force, because the newest one waits.
  const std::vector<HeldVersion>& heldBack() const;
  // How many resources of this type are in force.
  std::size_t count(const ResourceType& type) const;

  // The present state. It shares everything that did not change with earlier snapshots. `changed`
  // is relative to the snapshot before this one. `changed.all` is set where `complete` or
  // `clustersListed` changed, which concerns names that are in no set.
  std::shared_ptr<const Snapshot> snapshot() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace sockmesh
