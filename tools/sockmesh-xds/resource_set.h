// SPDX-License-Identifier: Apache-2.0
// What the server serves: resources by type and name, immutable once shared.
#pragma once

#include <google/protobuf/any.pb.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "base/result.h"

namespace sockmesh {

struct ServedResource {
  google::protobuf::Any any;
  std::uint64_t hash = 0;  // of the bytes: equal means unchanged
  std::string source;      // the file it came from, for messages
};

using ResourcesByName = std::map<std::string, std::shared_ptr<const ServedResource>>;

class ResourceSet {
 public:
  // Fails when the type already has a resource of that name, naming both sources. `typeUrl` is the
  // type that a response carries it under; `any` may be a discovery Resource around it.
  Status add(const std::string& typeUrl, const std::string& name, google::protobuf::Any any,
             const std::string& source);

  // The resources of a type; empty where there are none.
  const ResourcesByName& ofType(const std::string& typeUrl) const;
  const std::map<std::string, ResourcesByName>& byType() const { return byType_; }
  std::size_t size() const;

 private:
  std::map<std::string, ResourcesByName> byType_;
};

// A version_info for `resources`: equal contents give equal versions, also after restarts. 16
// hexadecimal digits.
std::string versionOf(const ResourcesByName& resources);

// Whether this binary was built with the message that `typeUrl` names.
bool isKnownType(const std::string& typeUrl);

// The name of a resource: its cluster_name, its name, or the name of its discovery Resource
// wrapper. An Error when the type is not known or the bytes do not decode.
Result<std::string> resourceName(const google::protobuf::Any& any);

}  // namespace sockmesh
