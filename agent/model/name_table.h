// SPDX-License-Identifier: Apache-2.0
// The addresses of host names, as istiod gives them to a node's DNS (NDS). It knows addresses that
// the routes do not name, as those of a ServiceEntry with several.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "model/address.h"

namespace sockmesh {

using NameTable = std::map<std::string, std::vector<IpAddress>>;

}  // namespace sockmesh
