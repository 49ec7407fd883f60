// SPDX-License-Identifier: Apache-2.0
#include "resource_folder.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/printable.h"
#include "envoy/service/discovery/v3/discovery.pb.h"
#include "protojson/foreign_document.h"
#include "protojson/yaml_json.h"

namespace sockmesh {
namespace {

namespace fs = std::filesystem;

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
  // An empty file sets failbit on `content`, which is no error.
  if (file.peek() != std::ifstream::traits_type::eof()) content << file.rdbuf();
  if (!file.is_open() || file.bad() || content.bad()) return Error("cannot be read");
  return std::move(content).str();
}

struct DocumentText {
  std::string text;
  int firstLine = 1;  // of the file
};

// The documents of a YAML stream: each is read on its own, so that a mistake in one does not hide
// those of the others.
std::vector<DocumentText> splitDocuments(const std::string& text) {
  std::vector<DocumentText> documents(1);
  std::istringstream lines(text);
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number) {
    // At the start of a line, "---" is a marker wherever it stands.
    const bool marker = line == "---" || line.starts_with("--- ") || line.starts_with("---\r");
    if (marker) {
      documents.push_back({"", number});
      line.replace(0, 3, "   ");
    }
    documents.back().text += line + '\n';
  }
  return documents;
}

// What to do about a document of another kind. "" if the kind is not known.
std::string adviceOn(const DocumentNode& document) {
  using Kind = ForeignDocument::Kind;
  const auto foreign = foreignDocument(document);
  if (!foreign) return "";
  const std::string is = ": this is " + foreign->what;
  switch (foreign->kind) {
    case Kind::kBootstrap:
      return is +
             "; what its static_resources hold is served when each listener and cluster "
             "stands alone, with its @type";
    case Kind::kConfigDump:
      return is + "; the resources in it are served when each stands alone, with its @type";
    case Kind::kIstio:
      return is + ", which istiod makes xDS resources of; here those resources are wanted";
    case Kind::kKubernetes:
      return is + ", not an xDS resource";
    case Kind::kAgentConfig:
      return is + " (its --config), not an xDS resource";
    case Kind::kWithoutType:
      return is + ": add \"@type\": type.googleapis.com/" + foreign->type;
    case Kind::kXdsResource:
      break;
  }
  return "";
}

class Loader {
 public:
  explicit Loader(const fs::path& folder) : folder_(folder) {}

  void load(const fs::path& path) {
    file_ = path.lexically_relative(folder_).native();
    files_.insert(file_);
    const auto text = readFile(path);
    if (!text) return fail("", text.error());
    if (path.extension() == ".pb") return loadResponse(*text);
    for (const DocumentText& document : splitDocuments(*text)) loadDocument(document);
  }

  Result<FolderContents> finish() && {
    if (errors_.empty()) {
      return FolderContents{std::move(resources_), std::move(files_), std::move(passedOver_)};
    }
    return Error(fmt::format("{}", fmt::join(errors_, "\n")));
  }

 private:
  // Serves captured bytes as they are.
  void loadResponse(const std::string& bytes) {
    envoy::service::discovery::v3::DeltaDiscoveryResponse delta;
    if (delta.ParseFromString(bytes) && isDelta(delta)) {
      for (int i = 0; i < delta.resources_size(); ++i) {
        loadCaptured(i, delta.resources(i).resource(), delta.type_url());
      }
      return;
    }
    envoy::service::discovery::v3::DiscoveryResponse response;
    if (!response.ParseFromString(bytes)) {
      return fail("", Error("not a serialized envoy.service.discovery.v3.DiscoveryResponse"));
    }
    for (int i = 0; i < response.resources_size(); ++i) {
      loadCaptured(i, response.resources(i), response.type_url());
    }
  }

  // Bytes of a state-of-the-world response can often be parsed as a delta response, too. What lies
  // in a resource then is no resource.
  static bool isDelta(const envoy::service::discovery::v3::DeltaDiscoveryResponse& response) {
    if (response.resources_size() == 0 || response.type_url().empty()) return false;
    return std::ranges::all_of(response.resources(), [&](const auto& resource) {
      return resource.resource().type_url() == response.type_url();
    });
  }

  void loadCaptured(int index, const google::protobuf::Any& any, const std::string& responseType) {
    if (isKnownType(any.type_url())) return add(placeOf(index), any, responseType);
    passedOver_.push_back(
        fmt::format("{}: {}: unknown type {}{}", file_, placeOf(index), any.type_url(),
                    typeHint(any.type_url().substr(any.type_url().rfind('/') + 1))));
  }

  void loadDocument(const DocumentText& part) {
    const auto parsed = parseDocuments(part.text, part.firstLine);
    if (!parsed) return fail("", parsed.error());
    if (parsed->empty()) return;
    if (parsed->size() > 1) {
      return fail("",
                  errorAtLine((*parsed)[1]->line, "a second document needs a line --- before it"));
    }
    const DocumentNode& document = *parsed->front();
    switch (document.kind) {
      case DocumentNode::Kind::kNull:
        return;
      case DocumentNode::Kind::kList:
        return loadList(document);
      case DocumentNode::Kind::kMap:
        return loadMap(document);
      case DocumentNode::Kind::kBool:
      case DocumentNode::Kind::kNumber:
      case DocumentNode::Kind::kString:
        return fail("", errorAtLine(document.line, "neither a resource nor a list of them"));
    }
  }

  void loadMap(const DocumentNode& document) {
    if (document.find("@type") != nullptr) return loadResource("", document);
    if (document.find("resources") == nullptr) {
      return fail("", errorAtLine(document.line, "neither \"@type\" nor \"resources\" is there" +
                                                     adviceOn(document)));
    }
    envoy::service::discovery::v3::DiscoveryResponse response;
    const Status status = parseNode(document, response);
    return status ? addAll(response) : fail("", status.error());
  }

  void loadList(const DocumentNode& list) {
    for (std::size_t i = 0; i < list.items.size(); ++i) {
      const DocumentNode& item = *list.items[i];
      const std::string where = fmt::format("[{}]", i);
      const bool typed = item.kind != DocumentNode::Kind::kMap || item.find("@type") != nullptr;
      if (typed) {
        loadResource(where, item);
      } else {
        fail(where, errorAtLine(item.line, "needs an @type" + adviceOn(item)));
      }
    }
  }

  void loadResource(const std::string& where, const DocumentNode& node) {
    google::protobuf::Any any;
    const Status status = parseNode(node, any);
    status ? add(where, any, "") : fail(where, status.error());
  }

  void addAll(const envoy::service::discovery::v3::DiscoveryResponse& response) {
    for (int i = 0; i < response.resources_size(); ++i) {
      add(placeOf(i), response.resources(i), response.type_url());
    }
  }
  static std::string placeOf(int index) { return fmt::format("resources[{}]", index); }

  // `responseType` is the type_url of the response around it, if there is one. A resource in a
  // discovery Resource wrapper is served as this type.
  void add(const std::string& where, const google::protobuf::Any& any,
           const std::string& responseType) {
    const auto name = resourceName(any);
    if (!name) return fail(where, name.error());
    const std::string& typeUrl = responseType.empty() ? any.type_url() : responseType;
    const Status status = resources_->add(typeUrl, *name, any, file_);
    if (!status) errors_.push_back(printable(status.error().message()));
  }

  void fail(const std::string& where, const Error& error) {
    errors_.push_back(printable(error.in(where.empty() ? file_ : file_ + ": " + where).message()));
  }

  fs::path folder_;
  std::string file_;  // relative to the folder
  std::shared_ptr<ResourceSet> resources_ = std::make_shared<ResourceSet>();
  std::set<std::string> files_;
  std::vector<std::string> errors_;  // printable
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
