// SPDX-License-Identifier: Apache-2.0
// The log's lines about resources that are valid and not honoured in everything: once for each
// resource, and again after a change. The control plane sends the same resources again and again.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "model/snapshot.h"

namespace sockmesh {

class NotHonouredLog {
 public:
  // The lines for `snapshot` that were not logged for earlier snapshots. Looks only at resources
  // that `snapshot.changed` names.
  std::vector<std::string> update(const Snapshot& snapshot);

 private:
  using Said = std::map<std::string, std::string>;  // name -> what is wrong with the resource

  Said clusters_;
  Said inlineEndpoints_;  // by cluster
  Said endpoints_;        // by EDS name
  Said listeners_;
};

}  // namespace sockmesh
