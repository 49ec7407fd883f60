// SPDX-License-Identifier: Apache-2.0
#include "decode/file_names.h"

#include "decode/dns_names.h"

namespace sockmesh {
namespace {

namespace core = envoy::config::core::v3;

constexpr std::string_view kIn = " in /";

void checkPath(const std::string& path, std::string_view field, FieldErrors& errors) {
  if (!path.starts_with('/')) {
    errors.add(field, "\"" + path + "\" is no absolute path");
  } else if (path.find(kIn) != std::string::npos) {
    errors.add(field, "must not contain \"" + std::string(kIn) + "\"");
  }
}

}  // namespace

void checkFile(const core::PathConfigSource& file, FieldErrors& errors) {
  checkPath(file.path(), "path", errors);
  if (!file.has_watched_directory()) return;
  const std::string folder = file.path().substr(0, file.path().rfind('/'));
  const std::string& watched = file.watched_directory().path();
  if (watched != folder && watched != folder + "/") {
    errors.add(
        "watched_directory.path",
        "\"" + watched + "\" is not the directory of the path, the only one that is watched");
  }
}

std::string nameInFile(const std::string& name, const std::string& path) {
  return name + " in " + path;
}

std::optional<FileResource> fileResource(std::string_view name) {
  const std::size_t at = name.rfind(kIn);
  if (at == std::string_view::npos) return std::nullopt;
  return FileResource{std::string(name.substr(0, at)),
                      std::string(name.substr(at + kIn.size() - 1))};
}

std::string sourcedName(const std::string& name, const core::ConfigSource& source,
                        std::string_view field, FieldErrors& errors) {
  const FieldErrors::Scope scope(errors, field);
  switch (source.config_source_specifier_case()) {
    case core::ConfigSource::kAds:
    case core::ConfigSource::kSelf:
      if (fileResource(name)) errors.add("its name must not contain \"" + std::string(kIn) + "\"");
      if (isResolvedName(name)) errors.add("its name must not contain \" by DNS \"");
      return name;
    case core::ConfigSource::kPath:
      checkPath(source.path(), "path", errors);
      return nameInFile(name, source.path());
    case core::ConfigSource::kPathConfigSource: {
      const FieldErrors::Scope inner(errors, "path_config_source");
      checkFile(source.path_config_source(), errors);
      return nameInFile(name, source.path_config_source().path());
    }
    case core::ConfigSource::kApiConfigSource:
      errors.add("api_config_source", "is not supported; use ads or path_config_source");
      return name;
    case core::ConfigSource::CONFIG_SOURCE_SPECIFIER_NOT_SET:
      errors.add("needs a source: ads or path_config_source");
  }
  return name;
}

}  // namespace sockmesh
