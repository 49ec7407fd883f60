// SPDX-License-Identifier: Apache-2.0
#include "admin/logging_handler.h"

#include <map>

#include "admin/json_views.h"
#include "base/log.h"

namespace sockmesh {
namespace {

AdminJson levelsJson() {
  std::map<std::string, std::string> levels;
  spdlog::apply_all([&levels](const std::shared_ptr<spdlog::logger>& scope) {
    const auto level = spdlog::level::to_string_view(scope->level());
    levels[scope->name()] = std::string(level.data(), level.size());
  });
  return {{"scopes", levels}};
}

// "level=debug": all scopes; "xds:debug" or "xds=debug": one.
Status setLevel(const std::string& name, const std::string& value) {
  if (!value.empty()) return setLogLevel(name == "level" ? "" : name, value);
  const std::size_t colon = name.find(':');
  if (colon == std::string::npos || colon == 0) {
    return Error("\"" + name + "\" is neither level=LEVEL nor SCOPE:LEVEL");
  }
  return setLogLevel(name.substr(0, colon), name.substr(colon + 1));
}

}  // namespace

HttpResponse handleLogging(const HttpRequest& request) {
  std::string problems;
  if (request.method == "POST" && request.parameters.empty()) {
    problems = "no level given: POST /logging?level=LEVEL or /logging?SCOPE:LEVEL\n";
  }
  if (request.method != "POST" && !request.parameters.empty()) {
    HttpResponse response = textResponse(405, "levels are changed with POST\n");
    response.allow = "POST";
    return response;
  }
  for (const auto& [name, value] : request.parameters) {
    if (const Status set = setLevel(name, value); !set) problems += set.error().message() + "\n";
  }
  if (!problems.empty()) return textResponse(400, problems);
  return {200, "application/json", dumpJson(levelsJson())};
}

}  // namespace sockmesh
