// What the log says of resources that are valid and not followed in everything: once for each, and
// again when that changes. The control plane sends the same resources over and over.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "model/snapshot.h"

namespace sockmesh {

class ReservationLog {
 public:
  // The lines that `snapshot` adds to what was said of the ones before.
  std::vector<std::string> update(const Snapshot& snapshot);

 private:
  std::map<std::string, std::string> said_;  // resource -> what is wrong with it
};

}  // namespace sockmesh
