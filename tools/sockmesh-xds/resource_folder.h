// SPDX-License-Identifier: Apache-2.0
// Reads a folder of resources: YAML or JSON files in the xDS API's JSON form, and .pb files with a
// serialized DiscoveryResponse.
#pragma once

#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "resource_set.h"

namespace sockmesh {

struct FolderContents {
  std::shared_ptr<const ResourceSet> resources;
  std::set<std::string> files;  // that were read, relative to the folder
  // Resources of .pb files that cannot be served, one line of text each: "FILE: resources[2]: ...".
  // Captures of a real control plane hold types that this program does not know.
  std::vector<std::string> passedOver;
};

// Reads every .yaml, .yml, .json and .pb file below `folder`; names that begin with a dot are
// ignored (files of editors and of Kubernetes). A document is one resource with its @type, a list
// of them, or {"resources": [...]} as in a DiscoveryResponse; an empty document holds nothing. The
// Error lists all problems, one line of text each: "FILE: resources[2]: ...".
Result<FolderContents> loadFolder(const std::filesystem::path& folder);

}  // namespace sockmesh
