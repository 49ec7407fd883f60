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
  // What is in a .pb file and cannot be served, a line each: "FILE: resources[2]: ...". Captures of
  // a real control plane hold types that this one was not built with.
  std::vector<std::string> passedOver;
};

// Reads every .yaml, .yml, .json and .pb file below `folder`; names that begin with a dot are
// passed over (editors' and Kubernetes' own). A document is one resource with its @type, a list of
// them, or
// {"resources": [...]} as in a DiscoveryResponse; an empty one holds nothing.
// The Error lists all that is wrong, a line each: "FILE: resources[2]: ...".
Result<FolderContents> loadFolder(const std::filesystem::path& folder);

}  // namespace sockmesh
