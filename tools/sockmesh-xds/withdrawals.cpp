// SPDX-License-Identifier: Apache-2.0
#include "withdrawals.h"

#include <fmt/format.h>

#include <map>

#include "decode/type_urls.h"

namespace sockmesh {
namespace {

constexpr std::size_t kMostNames = 10;  // in one line

struct Lost {
  std::vector<std::string> names;  // the first ones
  std::size_t count = 0;
};

std::map<std::string, Lost> lostByFile(const ResourceSet& before, const ResourceSet& now) {
  std::map<std::string, Lost> lost;
  for (const auto& [typeUrl, resources] : before.byType()) {
    const ResourcesByName& left = now.ofType(typeUrl);
    for (const auto& [name, resource] : resources) {
      if (left.contains(name)) continue;
      Lost& ofFile = lost[resource->source];
      if (++ofFile.count > kMostNames) continue;
      ofFile.names.push_back(fmt::format("{} \"{}\"", shortTypeName(typeUrl), name));
    }
  }
  return lost;
}

bool holdsAny(const ResourceSet& resources, const std::string& file) {
  for (const auto& [typeUrl, byName] : resources.byType()) {
    for (const auto& [name, resource] : byName) {
      if (resource->source == file) return true;
    }
  }
  return false;
}

}  // namespace

std::vector<std::string> withdrawals(const FolderContents& before, const FolderContents& now) {
  std::vector<std::string> lines;
  for (const auto& [file, lost] : lostByFile(*before.resources, *now.resources)) {
    std::string what = fmt::format("{}", fmt::join(lost.names, ", "));
    if (lost.count > lost.names.size()) {
      what += fmt::format(" and {} more", lost.count - lost.names.size());
    }
    if (!now.files.contains(file)) {
      lines.push_back(fmt::format("{} is gone, and with it {}", file, what));
    } else if (!holdsAny(*now.resources, file)) {
      lines.push_back(fmt::format("{} holds no resource any more, it had {}", file, what));
    } else {
      lines.push_back(fmt::format("{} does not hold any more: {}", file, what));
    }
  }
  if (!lines.empty() && now.resources->size() == 0) lines.emplace_back("no resource is left");
  return lines;
}

}  // namespace sockmesh
