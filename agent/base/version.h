// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace sockmesh {

// `git describe` of the tree this was built from, or "unknown".
const char* version();

}  // namespace sockmesh
