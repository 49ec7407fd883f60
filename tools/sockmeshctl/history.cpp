// SPDX-License-Identifier: Apache-2.0
#include "history.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>

#include "agent_json.h"
#include "text.h"

namespace sockmesh::ctl {
namespace {

constexpr int kMostFiles = 1000;       // as the agent has them
constexpr std::size_t kMostNamed = 3;  // changes in a row of the table

std::string olderPath(const std::string& path, int number) {
  return number == 0 ? path : path + "." + std::to_string(number);
}

// "5s -> 7s"
std::string fieldText(const Json& field) {
  const auto value = [&](const char* name) {
    return field.contains(name) && field[name].is_string() ? field[name].get<std::string>() : "-";
  };
  return text(field, "path") + ": " + value("from") + " -> " + value("to");
}

std::string changeText(const Json& change, bool withFields) {
  std::string out = text(change, "name") + " " + text(change, "change");
  std::vector<std::string> fields;
  for (const Json& field : child(change, "fields", Json::value_t::array)) {
    fields.push_back(withFields ? fieldText(field) : text(field, "path"));
  }
  if (!withFields && fields.size() > kMostNamed) {
    fields.resize(kMostNamed);
    fields.emplace_back("...");
  }
  return fields.empty() ? out : out + " (" + join(fields, ", ") + ")";
}

// The line with what concerns `resource` alone; nothing where nothing does.
std::optional<Json> narrowed(Json line, const std::string& resource) {
  if (resource.empty()) return line;
  bool any = false;
  for (const char* list : {"errors", "changes"}) {
    Json kept = Json::array();
    for (const Json& one : child(line, list, Json::value_t::array)) {
      if (text(one, "name").find(resource) != std::string::npos) kept.push_back(one);
    }
    any = any || !kept.empty();
    if (line.contains(list)) line[list] = std::move(kept);
  }
  return any ? std::optional(std::move(line)) : std::nullopt;
}

// All changes of a line in words, at most `most` of them.
std::string whatHappened(const Json& line, bool withFields, std::size_t most) {
  std::vector<std::string> parts;
  for (const Json& error : child(line, "errors", Json::value_t::array)) {
    const std::string name = text(error, "name");
    parts.push_back((name.empty() ? "" : name + " ") + "rejected: " + text(error, "reason"));
  }
  for (const Json& change : child(line, "changes", Json::value_t::array)) {
    parts.push_back(changeText(change, withFields));
  }
  std::size_t more = line.value("moreChanges", Json(0)).is_number_unsigned()
                         ? line.value("moreChanges", std::size_t{0})
                         : 0;
  if (parts.size() > most) {
    more += parts.size() - most;
    parts.resize(most);
  }
  if (more > 0) parts.push_back("and " + std::to_string(more) + " more");
  return join(parts, "; ");
}

}  // namespace

Status readHistory(const std::string& path, const std::function<void(const Json& line)>& take) {
  int last = 0;
  while (last < kMostFiles && std::ifstream(olderPath(path, last + 1)).good()) ++last;
  bool found = false;
  for (int number = last; number >= 0; --number) {
    errno = 0;
    std::ifstream file(olderPath(path, number));
    if (!file.good() && number == 0 && !found) return Error::fromErrno(path, errno);
    found = true;
    for (std::string line; std::getline(file, line);) {
      const Json json = Json::parse(line, nullptr, false);
      if (!json.is_object() || !json.contains("id") || !json["id"].is_number_unsigned()) continue;
      take(json);
    }
  }
  return {};
}

Result<std::string> auditLogOf(const AgentReport& agent) {
  if (!agent.status) {
    return Error("agent: not reachable at " + agent.address + " (" + agent.problem +
                 "); name the audit log with --file");
  }
  const Json xds = child(*agent.status, "xds", Json::value_t::object);
  const std::string path = text(xds, "auditLog");
  if (path.empty()) return Error("the agent has no audit log: audit_log.path turns it on");
  return path;
}

Result<std::string> sinceOf(const std::string& text, std::int64_t now) {
  char* end = nullptr;
  errno = 0;
  const double count = std::strtod(text.c_str(), &end);
  const std::string unit = end;
  static const std::vector<std::pair<std::string, double>> kUnits = {
      {"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}};
  const auto found = std::ranges::find(kUnits, unit, &std::pair<std::string, double>::first);
  if (end != text.c_str() && found != kUnits.end() && count >= 0 && count * found->second < 1e10) {
    const std::time_t at = now - static_cast<std::int64_t>(count * found->second);
    std::tm utc{};
    gmtime_r(&at, &utc);
    std::array<char, 32> out{};
    std::strftime(out.data(), out.size(), "%Y-%m-%dT%H:%M:%S", &utc);
    return std::string(out.data());
  }
  // "2026-01-02", "2026-01-02T03:04", "2026-01-02T03:04:05Z"
  const std::string time = text.ends_with('Z') ? text.substr(0, text.size() - 1) : text;
  static constexpr std::string_view kForm = "dddd-dd-ddTdd:dd:dd.ddd";
  const bool fits = time.size() >= 10 && time.size() <= kForm.size() &&
                    std::equal(time.begin(), time.end(), kForm.begin(), [](char c, char form) {
                      return form == 'd' ? c >= '0' && c <= '9' : c == form;
                    });
  if (fits) return time;
  return Error("\"" + text +
               "\" is neither a time span (90s, 10m, 2h, 3d) nor a time in UTC "
               "(2026-01-02T03:04:05Z)");
}

Outcome history(const std::string& path, const HistoryFilter& filter) {
  Table table;
  table.columns = {{"ID"},     {"TIME"},    {"TYPE"},         {"VERSION"},
                   {"RESULT"}, {"CHANGES"}, {"SERVER", true}, {"NONCE", true}};
  Json items = Json::array();
  const bool withFields = !filter.resource.empty();
  const Status read = readHistory(path, [&](const Json& line) {
    if (text(line, "time") < filter.since) return;
    auto kept = narrowed(line, filter.resource);
    if (!kept) return;
    table.rows.push_back({"r" + line["id"].dump(), text(line, "time"), text(line, "type"),
                          text(line, "version"), text(line, "result"),
                          whatHappened(*kept, withFields, withFields ? 100 : kMostNamed),
                          text(line, "server"), text(line, "nonce")});
    items.push_back(*std::move(kept));
  });
  if (!read) return Failure{kExitFailure, "audit log: " + read.error().message()};
  Document out;
  out.kind = "History";
  out.data = {{"path", path}, {"items", std::move(items)}};
  out.sections.push_back({"", std::move(table)});
  return out;
}

}  // namespace sockmesh::ctl
