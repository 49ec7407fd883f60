// SPDX-License-Identifier: Apache-2.0
// Whether a document fits a message type by the rules of proto3 JSON. It finds everything that
// protobuf's own parser would reject, and says where.
#pragma once

#include <google/protobuf/descriptor.h>

#include "base/result.h"
#include "protojson/document.h"

namespace sockmesh {

// Errors: all of them, each "line N: path: what is wrong", joined by "; ".
Status checkMessage(const DocumentNode& node, const google::protobuf::Descriptor& type);

// Checks whether `node` fits a field of this type. `node` is not null, and the field is not a
// message. Returns what is wrong ("70000000000 does not fit uint32"), or nothing.
Status checkScalar(const DocumentNode& node, const google::protobuf::FieldDescriptor& field);
// The same for a map's key.
Status checkKey(const std::string& key, const google::protobuf::FieldDescriptor& field);
// The same for a Duration, Timestamp or FieldMask.
Status checkTimeText(const DocumentNode& node, const std::string& typeName);

}  // namespace sockmesh
