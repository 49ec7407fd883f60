// SPDX-License-Identifier: Apache-2.0
#include "agent_json.h"

namespace sockmesh::ctl {

std::string text(const Json& json, const char* field) {
  if (!json.is_object()) return "";
  const auto found = json.find(field);
  if (found == json.end() || found->is_null()) return "";
  return found->is_string() ? found->get<std::string>() : found->dump();
}

Json child(const Json& json, const char* field, Json::value_t type) {
  if (!json.is_object()) return Json(type);
  const auto found = json.find(field);
  return found != json.end() && found->type() == type ? *found : Json(type);
}

std::vector<std::string> strings(const Json& json, const char* field) {
  std::vector<std::string> out;
  for (const Json& item : child(json, field, Json::value_t::array)) {
    if (item.is_string()) out.push_back(item.get<std::string>());
  }
  return out;
}

}  // namespace sockmesh::ctl
