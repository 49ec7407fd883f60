// SPDX-License-Identifier: Apache-2.0
// What is configured and not honoured, for /status and /config_dump.
#include "model/not_honoured.h"
#include "model/unreachable.h"

#include "admin/json_views.h"

namespace sockmesh {

AdminJson leftAloneJson(const std::vector<LeftAlone>& all) {
  AdminJson json = AdminJson::array();
  for (const LeftAlone& one : all) json.push_back({{"name", one.name}, {"reason", one.reason}});
  return json;
}

AdminJson notHonouredJson(const Snapshot& snapshot) {
  AdminJson items = AdminJson::array();
  for (const NotHonoured& one : notHonoured(snapshot)) {
    items.push_back({{"kind", kindName(one.kind)}, {"name", one.name}, {"fields", one.fields}});
  }
  return {{"resources", items.size()}, {"items", items}};
}

AdminJson unreachableJson(const Snapshot& snapshot) {
  AdminJson json = AdminJson::array();
  for (const UnreachableEndpoint& one : unreachableEndpoints(snapshot)) {
    json.push_back(
        {{"cluster", one.cluster}, {"address", one.address.toString()}, {"why", one.why}});
  }
  return json;
}

AdminJson layerSevenJson(const Snapshot& snapshot) {
  AdminJson json = AdminJson::array();
  for (const LayerSevenNeed& need : layerSevenNeeds(snapshot)) {
    json.push_back({{"service", need.service},
                    {"cluster", need.cluster},
                    {"hashPolicies", need.hashPolicies},
                    {"reasons", need.reasons}});
  }
  return json;
}

}  // namespace sockmesh
