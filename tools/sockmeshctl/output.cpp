// SPDX-License-Identifier: Apache-2.0
#include "output.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "base/printable.h"

namespace sockmesh::ctl {
namespace {

constexpr std::size_t kGap = 3;  // blanks between columns, as kubectl has

// A cell that is wider than this is an exception, and does not make its column wider.
constexpr std::size_t kWidestCell = 80;
// Such a cell is cut to this width, or to the width of its column if that is greater.
constexpr std::size_t kCutTo = 40;

// How exceptional cells are shown: cut with an ellipsis, or whole, with the rest of the row moved
// to the right.
enum class LongCells : std::uint8_t { kCut, kWhole };

struct Layout {
  std::vector<std::size_t> columns;  // those to print
  std::vector<std::size_t> widths;   // of each of them, in columns of the terminal
  LongCells longCells = LongCells::kCut;
};

// A name with several blanks in a row could look like several cells, so blanks after the first are
// escaped. The two blanks at the start of rows below a heading are the program's own.
std::string cellText(const std::string& cell) {
  if (cell.empty()) return "-";
  const std::size_t indent = cell.starts_with("  ") ? 2 : 0;
  std::string out(indent, ' ');
  const std::string text = printable(std::string_view(cell).substr(indent));
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool inner = i > 0 && text[i - 1] != ' ' && i + 1 < text.size();
    if (text[i] != ' ' || inner) {
      out += text[i];
    } else {
      out += "\\x20";
    }
  }
  return out;
}

// The beginning and the end stay, because long names often differ at their end.
std::string cut(const std::string& text, std::size_t width) {
  const std::size_t tail = (width - 1) / 2;
  return std::string(headOf(text, width - 1 - tail)) + "\u2026" + std::string(tailOf(text, tail));
}

using Cells = std::vector<std::vector<std::string>>;  // as they are printed

// As wide as the widest cell that is not an exception.
void layOutColumn(Layout& layout, Cells& cells, bool whole) {
  const std::size_t at = layout.widths.size();
  std::size_t width = 0;
  bool exceptions = false;
  for (const auto& row : cells) {
    const std::size_t own = displayWidth(row[at]);
    const bool exception = own > kWidestCell && !whole;
    exceptions = exceptions || exception;
    if (!exception) width = std::max(width, own);
  }
  if (exceptions && layout.longCells == LongCells::kCut) {
    width = std::max(width, kCutTo);
    for (auto& row : cells) {
      if (displayWidth(row[at]) > kWidestCell) row[at] = cut(row[at], width);
    }
  }
  layout.widths.push_back(width);
}

Layout layOut(const Table& table, Cells& cells, const std::vector<std::size_t>& columns,
              LongCells longCells) {
  Layout layout{columns, {}, longCells};
  for (std::size_t i = 0; i < columns.size(); ++i) {
    const Column& column = table.columns[columns[i]];
    // Nothing stands behind the last column that would move to the right.
    const bool last = i + 1 == columns.size() && !column.right;
    layOutColumn(layout, cells, column.whole || last);
  }
  return layout;
}

void appendRow(const Table& table, const Layout& layout, const std::vector<std::string>& row,
               std::string& out) {
  std::string line;
  for (std::size_t i = 0; i < row.size(); ++i) {
    const std::size_t own = displayWidth(row[i]);
    const std::string padding(layout.widths[i] - std::min(own, layout.widths[i]), ' ');
    if (i > 0) line.append(kGap, ' ');
    line += table.columns[layout.columns[i]].right ? padding + row[i] : row[i] + padding;
  }
  line.erase(line.find_last_not_of(' ') + 1);
  out += line + "\n";
}

// Rows without titles are for scripts, and have every name whole.
void appendTable(const Table& table, bool wide, bool headers, std::string& out) {
  std::vector<std::size_t> columns;
  for (std::size_t i = 0; i < table.columns.size(); ++i) {
    if (wide || !table.columns[i].wide) columns.push_back(i);
  }
  Cells cells;
  const auto add = [&](auto cellOf) {
    std::vector<std::string>& row = cells.emplace_back();
    for (const std::size_t column : columns) row.push_back(cellOf(column));
  };
  if (headers) add([&](std::size_t column) { return table.columns[column].title; });
  for (const auto& row : table.rows) {
    add([&](std::size_t column) { return cellText(row[column]); });
  }
  const bool whole = wide || !headers;
  const Layout layout = layOut(table, cells, columns, whole ? LongCells::kWhole : LongCells::kCut);
  for (const auto& row : cells) appendRow(table, layout, row, out);
}

// Headings and titles are printed together or not at all. Without them only rows are left, for
// scripts.
std::string renderTables(const Document& document, bool wide, bool headers) {
  std::string out;
  bool afterTable = false;
  for (const Section& section : document.sections) {
    if (section.wide && !wide) continue;
    const Table& table = section.table;
    const bool hasTable = !table.columns.empty();
    if (headers && !section.heading.empty()) {
      if (!out.empty() && (hasTable || afterTable)) out += "\n";
      out += printable(section.heading) + "\n";
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

// The same data with escapes for characters that control a terminal or are not shown as they are.
// Characters beyond ASCII occur only in strings.
template <typename Escape>
std::string withEscapes(std::string_view text, Escape escape) {
  std::string out;
  while (!text.empty()) {
    const Character character = firstCharacter(text);
    const std::string_view own = text.substr(0, character.bytes);
    const bool hidden = character.point >= 0x7F && printable(own) != own;
    out += hidden ? escape(own, character) : std::string(own);
    text.remove_prefix(character.bytes);
  }
  return out;
}

std::string jsonText(const Json& json, int indent) {
  return withEscapes(json.dump(indent, ' ', false, Json::error_handler_t::replace),
                     [](std::string_view own, const Character&) { return jsonEscaped(own); });
}

// YAML has JSON's escapes, except beyond 16 bits, where YAML has no surrogate pairs.
std::string scalar(const Json& json) {
  if (json.is_string() && isPlain(json.get_ref<const std::string&>())) {
    return json.get<std::string>();
  }
  return withEscapes(json.dump(-1, ' ', false, Json::error_handler_t::replace),
                     [](std::string_view, const Character& character) {
                       return character.point < 0x10000 ? fmt::format("\\u{:04x}", character.point)
                                                        : fmt::format("\\U{:08x}", character.point);
                     });
}

bool isBlock(const Json& json) {
  return json.is_structured() && !json.empty();
}

void appendYaml(const Json& json, std::size_t indent, std::string& out) {
  const std::string blanks(indent, ' ');
  bool first = true;
  for (auto it = json.begin(); it != json.end(); ++it) {
    // The first line of an element stands behind its dash.
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
      return jsonText(withHead(document), 2) + "\n";
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
