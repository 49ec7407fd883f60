// SPDX-License-Identifier: Apache-2.0
// What the store holds, and how an update changes it. Only the store includes this header.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "store/received.h"
#include "store/resource_store.h"
#include "store/type_state.h"
#include "store/warming.h"

namespace sockmesh {

struct ResourceStore::State {
  std::vector<TypeState> types = makeTypeStates();
  ResourceLimits limits;
  Snapshot inForce;  // `changed` since the last one was handed out
  Warming warming{inForce, [this](std::string_view url) -> WantedNames& {
                    return of(*findResourceType(url)).wanted;
                  }};
  ResourceTtls ttls;
  std::vector<ResourceObserver*> observers;
  std::map<std::string, std::size_t> resolved;  // endpoints of DNS clusters, by their name
  std::size_t allResolved = 0;                  // the sum of `resolved`

  // The snapshot of the present state, once it was requested.
  mutable std::shared_ptr<const Snapshot> handedOut;

  TypeState& of(const ResourceType& type) {
    return types[static_cast<std::size_t>(&type - resourceTypes().data())];
  }
  bool complete() const;
  void touch(ApplyResult& result) {
    handedOut.reset();
    result.changed = true;
  }

  void applyList(TypeState& state, ReceivedUpdate all, const Update& update, Nanos now,
                 ResourceSource source, ApplyResult& result);
  void takeListed(TypeState& state, const Received& received, Nanos now, ResourceSource source,
                  ApplyResult& result);
  void applyNamed(TypeState& state, ReceivedUpdate all, const Update& update, ResourceSource source,
                  ApplyResult& result);
  void takeNamed(TypeState& state, const Received& received, ResourceSource source,
                 ApplyResult& result);
  bool take(TypeState& state, const std::string& name, const Received& received,
            ResourceSource source, ApplyResult& result);
  bool takeHeartbeat(TypeState& state, const std::string& name, const Received& received,
                     ApplyResult& result);
  void observeHeld(const TypeState& state, const std::string& name, const Received& received) const;
  void observeDropped(const TypeState& state, const std::string& name) const;
  void hold(TypeState& state, const std::string& name, Held version);
  bool countAsAbsent(TypeState& state, const std::string& name);
  void removeAbsent(TypeState& state, const std::set<std::string>& present, ResourceSource source,
                    ApplyResult& result);
  void removeNamed(TypeState& state, const std::vector<std::string>& names, ApplyResult& result);
  static void noteNamedAbsent(TypeState& state, const std::vector<std::string>& names);
  void remove(const TypeState& state, const std::string& name);
  Status fitsResolved(const std::string& name, std::size_t endpoints) const;
  void holdResolved(const std::string& name, std::size_t endpoints);
  void dropResolved(const std::string& name);
  void setListed(const TypeState& state, bool complete, ApplyResult& result);
  bool settle();
  void noteReceived(TypeState& state, const Update& update, ApplyResult& result);
};

}  // namespace sockmesh
