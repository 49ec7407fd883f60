// What the log says of resources that are valid and not followed in everything: once for each, and
// again when that changes. The control plane sends the same resources over and over.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "model/snapshot.h"

namespace sockmesh {

class NotHonouredLog {
 public:
  // The lines that `snapshot` adds to what was said of the ones before. Looks only at resources
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
