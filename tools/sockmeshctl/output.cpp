#include "output.h"

#include <algorithm>
#include <cctype>

namespace sockmesh::ctl {
namespace {

constexpr std::size_t kGap = 3;  // blanks between columns, as kubectl has

struct Layout {
  std::vector<std::size_t> columns;  // those to print
  std::vector<std::size_t> widths;
};

const std::string& cellText(const std::string& cell) {
  static const std::string kNothing = "-";
  return cell.empty() ? kNothing : cell;
}

Layout layOut(const Table& table, bool wide, bool headers) {
  Layout layout;
  for (std::size_t i = 0; i < table.columns.size(); ++i) {
    if (table.columns[i].wide && !wide) continue;
    std::size_t width = headers ? table.columns[i].title.size() : 0;
    for (const auto& row : table.rows) width = std::max(width, cellText(row[i]).size());
    layout.columns.push_back(i);
    layout.widths.push_back(width);
  }
  return layout;
}

template <typename CellOf>
void appendRow(const Table& table, const Layout& layout, CellOf cellOf, std::string& out) {
  std::string line;
  for (std::size_t i = 0; i < layout.columns.size(); ++i) {
    const std::string& cell = cellOf(layout.columns[i]);
    const std::string padding(layout.widths[i] - cell.size(), ' ');
    if (i > 0) line.append(kGap, ' ');
    line += table.columns[layout.columns[i]].right ? padding + cell : cell + padding;
  }
  line.erase(line.find_last_not_of(' ') + 1);
  out += line + "\n";
}

void appendTable(const Table& table, bool wide, bool headers, std::string& out) {
  const Layout layout = layOut(table, wide, headers);
  if (headers) {
    appendRow(
        table, layout, [&](std::size_t i) -> const std::string& { return table.columns[i].title; },
        out);
  }
  for (const auto& row : table.rows) {
    appendRow(
        table, layout, [&](std::size_t i) -> const std::string& { return cellText(row[i]); }, out);
  }
}

// Headings and titles go together: without them only rows are left, for scripts.
std::string renderTables(const Document& document, bool wide, bool headers) {
  std::string out;
  bool afterTable = false;
  for (const Section& section : document.sections) {
    if (section.wide && !wide) continue;
    const Table& table = section.table;
    const bool hasTable = !table.columns.empty();
    if (headers && !section.heading.empty()) {
      if (!out.empty() && (hasTable || afterTable)) out += "\n";
      out += section.heading + "\n";
    }
    const bool titled = std::any_of(table.columns.begin(), table.columns.end(),
                                    [](const Column& column) { return !column.title.empty(); });
    if (hasTable) appendTable(table, wide, headers && titled, out);
    afterTable = hasTable;
  }
  return out;
}

Json withHead(const Document& document) {
  Json head = {{"schemaVersion", kSchemaVersion}, {"kind", document.kind}};
  head.update(document.data);
  return head;
}

// A string that YAML reads back as this very string without quotes.
bool isPlain(const std::string& text) {
  if (text.empty() || !std::isalpha(static_cast<unsigned char>(text.front()))) return false;
  const auto allowed = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '-' || c == '.' ||
           c == '/';
  };
  if (!std::all_of(text.begin(), text.end(), allowed)) return false;
  std::string lower = text;
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  for (const char* word : {"true", "false", "yes", "no", "on", "off", "null", "y", "n"}) {
    if (lower == word) return false;
  }
  return true;
}

std::string scalar(const Json& json) {
  if (json.is_string() && isPlain(json.get_ref<const std::string&>())) {
    return json.get<std::string>();
  }
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

bool isBlock(const Json& json) {
  return json.is_structured() && !json.empty();
}

void appendYaml(const Json& json, std::size_t indent, std::string& out) {
  const std::string blanks(indent, ' ');
  bool first = true;
  for (auto it = json.begin(); it != json.end(); ++it) {
    // The first line of a list's element stands behind its dash.
    if (!first) out += blanks;
    first = false;
    if (json.is_array()) {
      out += "- ";
      if (isBlock(*it)) {
        appendYaml(*it, indent + 2, out);
      } else {
        out += scalar(*it) + "\n";
      }
      continue;
    }
    out += scalar(Json(it.key())) + ":";
    if (!isBlock(*it)) {
      out += " " + scalar(*it) + "\n";
      continue;
    }
    const std::size_t deeper = indent + (it->is_array() ? 0 : 2);
    out += "\n" + std::string(deeper, ' ');
    appendYaml(*it, deeper, out);
  }
}

}  // namespace

std::optional<Format> parseFormat(std::string_view name) {
  if (name == "table") return Format::kTable;
  if (name == "wide") return Format::kWide;
  if (name == "json") return Format::kJson;
  if (name == "yaml") return Format::kYaml;
  return std::nullopt;
}

std::string toYaml(const Json& json) {
  if (!isBlock(json)) return scalar(json) + "\n";
  std::string out;
  appendYaml(json, 0, out);
  return out;
}

std::string render(const Document& document, Format format, bool headers) {
  switch (format) {
    case Format::kJson:
      return withHead(document).dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
    case Format::kYaml:
      return toYaml(withHead(document));
    case Format::kWide:
      return renderTables(document, true, headers);
    case Format::kTable:
      break;
  }
  return renderTables(document, false, headers);
}

}  // namespace sockmesh::ctl
