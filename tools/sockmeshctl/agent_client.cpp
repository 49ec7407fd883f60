// SPDX-License-Identifier: Apache-2.0
#include "agent_client.h"

#include <array>
#include <cctype>
#include <chrono>
#include <cstdio>

#include "http_client.h"

namespace sockmesh::ctl {
namespace {

constexpr auto kAgentTimeout = std::chrono::seconds(2);
// For what reads or writes all maps.
constexpr auto kLongTimeout = std::chrono::seconds(60);

AgentAnswer answerOf(const std::string& place, const Result<HttpResponse>& response) {
  if (!response) return {place, 0, response.error().message()};
  return {place, response->status, response->body};
}

// Bytes that mean something in a query are escaped.
std::string escaped(const std::string& text) {
  std::string out;
  for (const unsigned char c : text) {
    std::array<char, 4> code{};
    std::snprintf(code.data(), code.size(), "%%%02X", c);
    out += std::isalnum(c) != 0 || c == '-' || c == '_' ? std::string(1, static_cast<char>(c))
                                                        : std::string(code.data());
  }
  return out;
}

Result<Json> getJson(const std::string& address, const std::string& target) {
  const auto server = SocketAddress::parse(address);
  if (!server) return server.error();
  const auto response = httpGet(*server, target, kAgentTimeout);
  if (!response) return response.error();
  Json json = Json::parse(response->body, nullptr, false);
  if (response->status == 200 && json.is_object()) return json;
  return Error("answered " + target.substr(0, target.find('?')) + " with HTTP " +
               std::to_string(response->status));
}

}  // namespace

AgentReport askAgent(const std::string& address) {
  const auto status = getJson(address, "/status");
  if (!status) return {address, std::nullopt, status.error().message()};
  return {address, *status, ""};
}

AgentRoutes askRoutes(const std::string& address, const std::string& vip) {
  const auto routes = getJson(address, "/routes" + (vip.empty() ? "" : "?vip=" + escaped(vip)));
  if (!routes) return {address, std::nullopt, routes.error().message()};
  return {address, *routes, ""};
}

AgentNames askNames(const std::string& address) {
  const auto names = getJson(address, "/names");
  return names ? namesOf(*names) : AgentNames{};
}

AgentAnswer askVerification(const std::string& address) {
  const auto server = SocketAddress::parse(address);  // checked when the line was parsed
  return answerOf(address, httpGet(server.value(), "/verify", kLongTimeout));
}

AgentAnswer askRepair(const std::string& socketPath) {
  return answerOf(socketPath, httpPost(socketPath, "/repair", kLongTimeout));
}

AgentAnswer readLogging(const std::string& address) {
  const auto server = SocketAddress::parse(address);  // checked when the line was parsed
  return answerOf(address, httpGet(server.value(), "/logging", kAgentTimeout));
}

AgentAnswer changeLogging(const std::string& socketPath, const std::vector<std::string>& levels) {
  std::string target = "/logging";
  for (const std::string& one : levels) {
    const std::size_t equals = one.find('=');
    const bool ofAll = equals == std::string::npos;
    target += (target.find('?') == std::string::npos ? "?" : "&");
    target += ofAll ? "level=" + escaped(one)
                    : escaped(one.substr(0, equals)) + "=" + escaped(one.substr(equals + 1));
  }
  return answerOf(socketPath, httpPost(socketPath, target, kAgentTimeout));
}

}  // namespace sockmesh::ctl
