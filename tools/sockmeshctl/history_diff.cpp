// SPDX-License-Identifier: Apache-2.0
// What differs between two versions, made of the changes between them.
#include <algorithm>
#include <map>
#include <utility>

#include "agent_json.h"
#include "history.h"
#include "text.h"

namespace sockmesh::ctl {
namespace {

std::uint64_t idOf(const Json& line) {
  return line["id"].get<std::uint64_t>();
}

std::size_t countOf(const Json& json, const char* field) {
  const auto found = json.find(field);
  return found != json.end() && found->is_number_unsigned() ? found->get<std::size_t>() : 0;
}

// A place in the log: the state after this line.
struct Point {
  Json line;  // null: there is no such line
  std::uint64_t id() const { return idOf(line); }
  Json summary() const {
    return {{"id", id()},
            {"time", text(line, "time")},
            {"type", text(line, "type")},
            {"version", text(line, "version")}};
  }
  std::string title() const {
    const std::string version = text(line, "version");
    const std::string type = text(line, "type");  // "" of a beginning
    return "r" + std::to_string(id()) + " (" + (type.empty() ? text(line, "result") : type) +
           (version.empty() ? "" : " " + version) + ", " + text(line, "time") + ")";
  }
};

bool names(const std::string& asked, const Json& line) {
  return asked.empty() || asked == "r" + line["id"].dump() || asked == text(line, "version");
}

struct Resource {
  bool before = false;
  bool after = false;
  bool again = false;  // it was removed and came back: what it became is not in the log
  std::map<std::string, std::pair<Json, Json>> fields;  // path: from, to

  // "" where nothing differs in the end.
  std::string change() const {
    if (before != after) return after ? "added" : "removed";
    if (!before) return "";
    if (again) return "removed and added again";
    return fields.empty() ? "" : "changed";
  }
};

class Folding {
 public:
  void take(const Json& line) {
    missing_ += countOf(line, "moreChanges") + countOf(line, "missed");
    restarted_ = restarted_ || text(line, "result") == "started";
    for (const Json& change : child(line, "changes", Json::value_t::array)) takeChange(change);
  }

  Document document(const Point& from, const Point& to, bool backwards);

 private:
  void takeChange(const Json& change);
  void addRow(const std::pair<std::string, std::string>& key, const Resource& resource,
              bool backwards, Table& table, Json& items) const;

  std::map<std::pair<std::string, std::string>, Resource> resources_;  // type, name
  std::size_t missing_ = 0;
  bool restarted_ = false;
};

void Folding::takeChange(const Json& change) {
  const std::string what = text(change, "change");
  const auto [place, isNew] = resources_.try_emplace({text(change, "type"), text(change, "name")});
  Resource& resource = place->second;
  if (isNew) resource.before = what != "added";
  if (what == "added" && resource.before) {
    resource.again = true;
    resource.fields.clear();
  }
  resource.after = what != "removed";
  missing_ += countOf(change, "moreFields");
  for (const Json& field : child(change, "fields", Json::value_t::array)) {
    if (!field.is_object()) continue;
    const Json from = field.value("from", Json()), to = field.value("to", Json());
    const auto [known, first] = resource.fields.try_emplace(text(field, "path"), from, to);
    known->second.second = to;
    if (known->second.first == to) resource.fields.erase(known);
  }
}

std::string shown(const Json& value) {
  return value.is_string() ? value.get<std::string>() : "";
}

void Folding::addRow(const std::pair<std::string, std::string>& key, const Resource& resource,
                     bool backwards, Table& table, Json& items) const {
  std::string change = resource.change();
  if (change.empty()) return;
  if (backwards && resource.before != resource.after) {
    change = resource.after ? "removed" : "added";
  }
  Json item = {{"type", key.first}, {"name", key.second}, {"change", change}};
  if (change != "changed") {
    table.rows.push_back({key.first, key.second, change, "", "", ""});
    items.push_back(std::move(item));
    return;
  }
  Json fields = Json::array();
  for (const auto& [path, values] : resource.fields) {
    const Json& from = backwards ? values.second : values.first;
    const Json& to = backwards ? values.first : values.second;
    table.rows.push_back({key.first, key.second, change, path, shown(from), shown(to)});
    fields.push_back({{"path", path}, {"from", from}, {"to", to}});
  }
  item["fields"] = std::move(fields);
  items.push_back(std::move(item));
}

Document Folding::document(const Point& from, const Point& to, bool backwards) {
  Table table;
  table.columns = {
      {"TYPE"}, {"RESOURCE"}, {"CHANGE", false, false, true}, {"FIELD", false, false, true},
      {"FROM"}, {"TO"}};
  Json items = Json::array();
  for (const auto& [key, resource] : resources_) addRow(key, resource, backwards, table, items);
  Document out;
  out.kind = "HistoryDiff";
  out.data = {{"from", from.summary()},
              {"to", to.summary()},
              {"resources", std::move(items)},
              {"missing", missing_},
              {"restarted", restarted_}};
  out.sections.push_back({"From " + from.title() + " to " + to.title(), std::move(table)});
  if (missing_ > 0) {
    out.sections.push_back(
        {"Note: " + countText(missing_, "change") + " between them: too many for the log", {}});
  }
  if (restarted_) {
    out.sections.push_back(
        {"Note: an agent without a cache was started between them; what it knew "
         "before is listed as added",
         {}});
  }
  return out;
}

Failure noSuch(const std::string& asked, const std::string& path) {
  return {kExitFailure, "no line of " + path + " is or has the version \"" + asked +
                            "\"; `sockmeshctl history` lists them"};
}

}  // namespace

Outcome historyDiff(const std::string& path, const std::string& from, const std::string& to) {
  Point first, second;
  const Status read = readHistory(path, [&](const Json& line) {
    if (names(from, line)) first.line = line;
    if (names(to, line)) second.line = line;
  });
  if (!read) return Failure{kExitFailure, "audit log: " + read.error().message()};
  if (first.line.is_null()) return noSuch(from, path);
  if (second.line.is_null()) return noSuch(to, path);
  const bool backwards = second.id() < first.id();
  const auto [low, high] = std::minmax({first.id(), second.id()});
  Folding folding;
  const Status again = readHistory(path, [&, low = low, high = high](const Json& line) {
    if (idOf(line) > low && idOf(line) <= high) folding.take(line);
  });
  if (!again) return Failure{kExitFailure, "audit log: " + again.error().message()};
  return folding.document(first, second, backwards);
}

}  // namespace sockmesh::ctl
