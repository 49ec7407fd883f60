#include "resource_folder.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "envoy/service/discovery/v3/discovery.pb.h"
#include "xds/yaml_json.h"

namespace sockmesh {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

// The files to read below `folder`, sorted so that messages and versions do not depend on the file
// system's order.
Result<std::vector<fs::path>> listFiles(const fs::path& folder) {
  static constexpr std::array kExtensions = {".yaml", ".yml", ".json", ".pb"};
  std::vector<fs::path> files;
  std::error_code error;
  fs::recursive_directory_iterator entry(folder, error);
  while (!error && entry != fs::recursive_directory_iterator()) {
    const fs::path& path = entry->path();
    std::error_code ignored;  // a file that vanished meanwhile is none
    if (path.filename().native().starts_with('.')) {
      entry.disable_recursion_pending();
    } else if (entry->is_regular_file(ignored) &&
               std::ranges::find(kExtensions, path.extension()) != kExtensions.end()) {
      files.push_back(path);
    }
    entry.increment(error);
  }
  if (error) return Error(fmt::format("{}: {}", folder.native(), error.message()));
  std::ranges::sort(files);
  return files;
}

Result<std::string> readFile(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream content;
  // An empty file sets failbit on `content` although nothing went wrong.
  if (file.peek() != std::ifstream::traits_type::eof()) content << file.rdbuf();
  if (!file.is_open() || file.bad() || content.bad()) return Error("cannot be read");
  return std::move(content).str();
}

// The documents of a YAML stream, each with as many empty lines before it as there were, so that
// line numbers in errors are the file's.
std::vector<std::string> splitDocuments(const std::string& text) {
  std::vector<std::string> documents(1);
  std::istringstream lines(text);
  std::string line;
  for (std::size_t number = 0; std::getline(lines, line); ++number) {
    // At the start of a line, "---" is a marker wherever it stands.
    const bool marker = line == "---" || line.starts_with("--- ") || line.starts_with("---\r");
    if (marker) {
      documents.emplace_back(number, '\n');
      line.replace(0, 3, "   ");
    }
    documents.back() += line + '\n';
  }
  return documents;
}

class Loader {
 public:
  explicit Loader(const fs::path& folder) : folder_(folder) {}

  void load(const fs::path& path) {
    file_ = path.lexically_relative(folder_).native();
    const auto text = readFile(path);
    if (!text) return fail("", text.error());
    if (path.extension() == ".pb") return loadResponse(*text);
    for (const std::string& document : splitDocuments(*text)) loadDocument(document);
  }

  Result<FolderContents> finish() && {
    if (errors_.empty()) return FolderContents{std::move(resources_), std::move(passedOver_)};
    return Error(fmt::format("{}", fmt::join(errors_, "\n")));
  }

 private:
  // Serves captured bytes as they are.
  void loadResponse(const std::string& bytes) {
    envoy::service::discovery::v3::DiscoveryResponse response;
    if (!response.ParseFromString(bytes)) {
      return fail("", Error("not a serialized envoy.service.discovery.v3.DiscoveryResponse"));
    }
    for (int i = 0; i < response.resources_size(); ++i) {
      const google::protobuf::Any& any = response.resources(i);
      if (isKnownType(any.type_url())) {
        add(placeOf(i), any, response.type_url());
      } else {
        passedOver_.push_back(
            fmt::format("{}: {}: unknown type {}", file_, placeOf(i), any.type_url()));
      }
    }
  }

  void loadDocument(const std::string& text) {
    const auto parsed = yamlToJson(text);
    if (!parsed) return fail("", parsed.error());
    if (parsed->empty()) return;
    // Only to see its shape; the messages are read from `text`, where errors have lines.
    const Json document = Json::parse(parsed->front(), nullptr, false);
    if (document.is_null()) return;
    if (document.is_array()) return loadList(document);
    if (!document.is_object()) return fail("", Error("neither a resource nor a list of them"));
    if (document.contains("@type")) {
      google::protobuf::Any any;
      const Status status = parseYamlOrJson(text, any);
      return status ? add("", any, "") : fail("", status.error());
    }
    if (!document.contains("resources")) {
      return fail("", Error("neither \"@type\" nor \"resources\" is there"));
    }
    envoy::service::discovery::v3::DiscoveryResponse response;
    const Status status = parseYamlOrJson(text, response);
    return status ? addAll(response) : fail("", status.error());
  }

  void loadList(const Json& list) {
    for (std::size_t i = 0; i < list.size(); ++i) {
      google::protobuf::Any any;
      const Status status = parseJson(list[i].dump(), any);
      const std::string where = fmt::format("[{}]", i);
      status ? add(where, any, "") : fail(where, withoutLine(status.error()));
    }
  }

  // An element of a list is read from one line of JSON, which is not the file's.
  static Error withoutLine(const Error& error) {
    static constexpr std::string_view kPrefix = "line 1: ";
    const std::string& message = error.message();
    return Error(message.starts_with(kPrefix) ? message.substr(kPrefix.size()) : message);
  }

  void addAll(const envoy::service::discovery::v3::DiscoveryResponse& response) {
    for (int i = 0; i < response.resources_size(); ++i) {
      add(placeOf(i), response.resources(i), response.type_url());
    }
  }
  static std::string placeOf(int index) { return fmt::format("resources[{}]", index); }

  // `responseType` is the type_url of the response around it, where there is one: what a resource
  // in a discovery Resource wrapper is served as.
  void add(const std::string& where, const google::protobuf::Any& any,
           const std::string& responseType) {
    const auto name = resourceName(any);
    if (!name) return fail(where, name.error());
    const std::string& typeUrl = responseType.empty() ? any.type_url() : responseType;
    const Status status = resources_->add(typeUrl, *name, any, file_);
    if (!status) errors_.push_back(status.error().message());
  }

  void fail(const std::string& where, const Error& error) {
    errors_.push_back(error.in(where.empty() ? file_ : file_ + ": " + where).message());
  }

  fs::path folder_;
  std::string file_;  // relative to the folder
  std::shared_ptr<ResourceSet> resources_ = std::make_shared<ResourceSet>();
  std::vector<std::string> errors_;
  std::vector<std::string> passedOver_;
};

}  // namespace

Result<FolderContents> loadFolder(const fs::path& folder) {
  const auto files = listFiles(folder);
  if (!files) return files.error();
  Loader loader(folder);
  for (const fs::path& file : *files) loader.load(file);
  return std::move(loader).finish();
}

}  // namespace sockmesh
