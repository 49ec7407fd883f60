// The last good state of every resource, and the Snapshots made of it. Knows resources, not
// streams: the ADS client hands it responses and turns its verdicts into ACKs and NACKs. Control
// thread.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "envoy/service/discovery/v3/discovery.pb.h"
#include "model/snapshot.h"

namespace sockmesh {

struct RejectedResource {
  std::string name;    // "" where it could not even be read
  std::string reason;  // field paths and what is wrong with them
};

// What became of one response. Good resources are in force, also beside bad ones; a bad one keeps
// its previous version. Anything rejected means that the response is NACKed.
struct ApplyResult {
  std::vector<std::string> accepted;  // names, also of unchanged ones
  std::vector<RejectedResource> rejected;
  bool changed = false;  // the snapshot differs

  bool ok() const { return rejected.empty(); }
  // "name: reason; name: reason", for error_detail; at most about 4 KiB, then "and N more".
  std::string message() const;
};

class ResourceStore {
 public:
  ResourceStore();
  ~ResourceStore();

  // Takes in a state-of-the-world response for CDS, EDS or LDS. CDS and LDS are complete sets:
  // what is absent is removed (a rejected name that is present stays; nothing is removed while the
  // name of a rejected one is unknown). EDS is partial; names that no cluster wants are ignored.
  // Of several resources with one name the first counts. Resources may come in
  // discovery.v3.Resource wrappers. A resource that is no protobuf rejects the whole response.
  ApplyResult apply(const envoy::service::discovery::v3::DiscoveryResponse& response);

  // EDS names that clusters want, sorted; what to subscribe to. Assignments that are no longer
  // wanted are forgotten with the clusters.
  std::vector<std::string> wantedAssignments() const;
  // Wanted names whose assignment has not arrived, with the cluster's initial_fetch_timeout
  // (0: wait for ever); the longest of those of clusters that share a name.
  std::map<std::string, Nanos> missingAssignments() const;
  // initial_fetch_timeout has passed: the cluster is taken as having no endpoints. True where that
  // changed the snapshot.
  bool fetchTimedOut(const std::string& edsName);

  // The present state; shares everything that did not change with earlier snapshots.
  std::shared_ptr<const Snapshot> snapshot() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace sockmesh
