// SPDX-License-Identifier: Apache-2.0
// Resources that are subscribed to by name and come from a file (path_config_source). Such a
// resource is known by a name of two parts, "NAME in /PATH", so that it is never mistaken for a
// resource of the control plane, or of another file.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "decode/field_errors.h"
#include "envoy/config/core/v3/core.pb.h"

namespace sockmesh {

struct FileResource {
  std::string name;  // in the file
  std::string path;  // absolute
};

std::string nameInFile(const std::string& name, const std::string& path);
// Nothing: the name is one of the control plane's.
std::optional<FileResource> fileResource(std::string_view name);

// Errors: the path is not absolute, or another directory than its own is to be watched.
void checkFile(const envoy::config::core::v3::PathConfigSource& file, FieldErrors& errors);

// The name by which `name` of this source is known, for a field `field` that may name a resource of
// the control plane or of a file. What is wrong with the source goes to `errors`.
std::string sourcedName(const std::string& name,
                        const envoy::config::core::v3::ConfigSource& source, std::string_view field,
                        FieldErrors& errors);

}  // namespace sockmesh
