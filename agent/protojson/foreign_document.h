// SPDX-License-Identifier: Apache-2.0
// Recognises what people write in place of an xDS resource or of the agent's configuration, so that
// an error can say what the document is and what to write instead.
#pragma once

#include <optional>
#include <string>

#include "protojson/document.h"

namespace sockmesh {

struct ForeignDocument {
  enum class Kind : std::uint8_t {
    kBootstrap,    // Envoy's own configuration file
    kConfigDump,   // what Envoy's admin port says
    kIstio,        // an object that istiod reads
    kKubernetes,   // any other object of the Kubernetes API
    kXdsResource,  // with its @type, or a list of such
    kAgentConfig,  // of sockmeshd
    kWithoutType,  // the fields of an xDS resource, without its @type
  };
  Kind kind = Kind::kKubernetes;
  std::string what;  // "an Envoy bootstrap", "a Kubernetes object (v1 Service)"
  std::string type;  // kWithoutType: the full name of the message whose fields they are
};

// Decides by the document's own fields. Nothing if it is none of these kinds.
std::optional<ForeignDocument> foreignDocument(const DocumentNode& document);

// What to write instead of a message type that is not known here: ": xDS v2 is not spoken, the v3
// type is NAME", or "".
std::string typeHint(const std::string& typeName);
// The same for a field of a message and for a value of an enum, by names that they had in v2 or
// have elsewhere.
std::string fieldHint(const std::string& typeName, const std::string& field);
std::string enumHint(const std::string& typeName, const std::string& value);

}  // namespace sockmesh
