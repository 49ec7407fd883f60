// SPDX-License-Identifier: Apache-2.0
// What an operator writes: the agent's configuration, and the files that sockmesh-xds serves. The
// first byte of the input says which, the others are the file.
#include <array>
#include <cstddef>

#include "base/log.h"
#include "base/printable.h"
#include "config/config.h"
#include "fuzz_input.h"
#include "protojson/document.h"
#include "resource_folder.h"

namespace sockmesh::fuzz {
namespace {

void configuration(std::string_view text) {
  const MemoryFile file(text);
  Flags flags;
  flags.configFile = file.path();
  const auto config = loadConfig(flags);
  if (!config) return require(!config.error().message().empty(), "a refusal has a reason");
  require(config->datapath.maxServices > 0, "an accepted configuration has room for a service");
  require(!config->ads.target.empty(), "an accepted configuration has a control plane");
  require(isLogLevel(config->logLevel), "an accepted log level is one");
}

void folderWith(const std::string& name, std::string_view text) {
  static const ScratchFolder folder;
  folder.write(name, text);
  const auto contents = loadFolder(folder.path());
  if (contents) {
    require(contents->files.size() == 1, "the file was read");
    for (const auto& [type, resources] : contents->resources->byType()) {
      require(versionOf(resources) == versionOf(resources), "equal resources, equal versions");
    }
  } else {
    const std::string& message = contents.error().message();
    require(message.find(name) != std::string::npos, "a refusal names the file");
    std::string_view rest = message;
    while (!rest.empty()) {
      const std::string_view line = rest.substr(0, rest.find('\n'));
      require(printable(line) == line, "a refusal can be shown on a terminal");
      rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    }
  }
  folder.remove(name);
}

void yamlResources(std::string_view text) {
  folderWith("resources.yaml", text);
}
void jsonResources(std::string_view text) {
  folderWith("resources.json", text);
}
void captured(std::string_view text) {
  folderWith("captured.pb", text);
}

// What was read as YAML and written as JSON is read again as the same.
void documents(std::string_view text) {
  const auto parsed = parseYamlDocuments(std::string(text));
  if (!parsed) return;
  for (const DocumentPtr& document : *parsed) {
    const std::string json = toJson(*document);
    const auto again = parseJsonDocument(json);
    require(again.ok() && toJson(**again) == json, "JSON of a document means the same document");
  }
}

}  // namespace
}  // namespace sockmesh::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sockmesh::fuzz;
  static constexpr std::array kReaders = {configuration, yamlResources, jsonResources, captured,
                                          documents};
  if (size == 0) return 0;
  kReaders[data[0] % kReaders.size()](textOf({data + 1, size - 1}));
  return 0;
}
