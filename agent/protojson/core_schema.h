// SPDX-License-Identifier: Apache-2.0
// What a YAML scalar is, by the core schema of YAML 1.2 (chapter 10.3.2).
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "protojson/document.h"

namespace sockmesh {

// Sets `kind` and `text` of `node` for a scalar of this tag ("?" plain, "!" quoted, or an explicit
// one). Errors: a tag that the schema does not have, a value that does not fit its tag or 64 bits.
Status resolveScalar(const std::string& tag, const std::string& value, DocumentNode& node);

}  // namespace sockmesh
